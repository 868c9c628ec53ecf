package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekisho/internal/testenv"
)

// demoScript logs the six people of the demo in with Debian's radclient, which knows nothing of Sekisho, from what the
// environment tells and nothing else. MA is empty, or the line that makes radclient sign its requests.
const demoScript = `
set -eu
send() { # NAME TEXT [STATE]
  printf 'User-Name = "%s"\nUser-Password = "%s"\n%s\n%s\n' "$1" "$2" "${MA:-}" "${3:+State = $3}" | sed '/^$/d' |
    radclient -x -r 2 -t 5 "$SEKISHO_RADIUS_HOST:$SEKISHO_RADIUS_PORT" auth "$SEKISHO_RADIUS_SECRET" 2>&1 || true
}
answer() { sed -n "s/^Received \([A-Za-z-]*\) .*/$1 \1/p"; }
key() { s=${1#*secret=}; echo "${s%%&*}"; }
totp() { oathtool --totp -b "$(key "$1")"; }

send alice "$SEKISHO_PASSWORD_ALICE" | answer alice
send bob "$SEKISHO_PASSWORD_BOB$(totp "$SEKISHO_OTPAUTH_BOB")" | answer bob
first=$(send carol "$SEKISHO_PASSWORD_CAROL")
echo "$first" | answer carol-asked
state=$(echo "$first" | sed -n 's/^.*State = \(0x[0-9a-f]*\).*/\1/p')
send carol "$(totp "$SEKISHO_OTPAUTH_CAROL")" "$state" | answer carol
send dave "$(totp "$SEKISHO_OTPAUTH_DAVE")" | answer dave
send erin "$SEKISHO_PASSWORD_ERIN$(oathtool --hotp -b "$(key "$SEKISHO_OTPAUTH_ERIN")" -c 0)" | answer erin
code=$(totp "$SEKISHO_OTPAUTH_FRANK")
send frank "$SEKISHO_PASSWORD_FRANK$code" | answer frank
send frank "$SEKISHO_PASSWORD_FRANK$code" | answer frank-again
printf 'Acct-Status-Type = Start\nAcct-Session-Id = "demo-1"\nUser-Name = "bob"\n' |
  radclient -x -r 2 -t 5 "$SEKISHO_RADIUS_HOST:$SEKISHO_RADIUS_ACCT_PORT" acct "$SEKISHO_RADIUS_SECRET" 2>&1 | answer accounting
env | grep '^SEKISHO_' | sed 's/^/env /'
exit 7
`

// TestDemo holds the contract of `sekisho demo --exec`: everybody's tests may stand on it.
func TestDemo(t *testing.T) {
	testenv.Need(t, "radclient")
	testenv.Need(t, "oathtool")
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for name, ma := range map[string]string{"unsigned": "", "signed": "Message-Authenticator = 0x00"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script, folder := filepath.Join(t.TempDir(), "try.sh"), t.TempDir()
			if err := os.WriteFile(script, []byte(demoScript), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, path, "demo", "--exec", "sh", script)
			cmd.Env = append(os.Environ(), "TMPDIR="+folder, "MA="+ma)
			b, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 7 {
				t.Errorf("ended with %v, want the command's status 7", err)
			}
			out := string(b)
			for _, want := range []string{"alice Access-Accept", "bob Access-Accept", "carol-asked Access-Challenge", "carol Access-Accept",
				"dave Access-Accept", "erin Access-Accept", "frank Access-Accept", "frank-again Access-Reject", "accounting Accounting-Response",
				"env SEKISHO_RADIUS_HOST=127.0.0.1",
				"env SEKISHO_BIN=" + path, "env SEKISHO_OTPAUTH_ALICE="} {
				if !strings.Contains(out, want+"\n") {
					t.Errorf("the output lacks %q", want)
				}
			}
			for _, want := range []string{`RADIUS_PORT=\d+`, `RADIUS_ACCT_PORT=\d+`, `RADIUS_SECRET=\w+`, `METRICS_URL=http://127\.0\.0\.1:\d+/metrics`,
				`ADMIN_URL=http://127\.0\.0\.1:\d+`, `ADMIN_TOKEN=\w+`, `SELFSERVICE_URL=http://127\.0\.0\.1:\d+`,
				`CONFIG=/.+\.yaml`, `PASSWORD_FRANK=\d{4,}`, `OTPAUTH_ERIN=otpauth://hotp/\S+secret=[A-Z2-7]+&\S*counter=0\S*`,
				`OTPAUTH_BOB=otpauth://totp/\S+secret=[A-Z2-7]+(&\S*)?`} {
				if !regexp.MustCompile(`(?m)^env SEKISHO_` + want + `$`).MatchString(out) {
					t.Errorf("the environment lacks SEKISHO_%s", want)
				}
			}
			if t.Failed() {
				t.Log(out)
			}
			nothingLeft(t, folder)
		})
	}
}

// TestDemoStays wants the demo without a command to do one real login, to show live codes, and to leave nothing behind
// when it is interrupted or its terminal closes.
func TestDemoStays(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			cmd := exec.Command(path, "demo")
			cmd.Env = append(os.Environ(), "TMPDIR="+folder)
			file, err := os.Create(filepath.Join(t.TempDir(), "out"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = file.Close() }()
			cmd.Stdout, cmd.Stderr = file, file
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			shown := func() []byte { b, _ := os.ReadFile(file.Name()); return b }
			live := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d   bob \d{6}`)
			waitFor(t, 20*time.Second, "a line of live codes", func() bool { return live.Match(shown()) })
			_ = cmd.Process.Signal(sig)
			if err := cmd.Wait(); err != nil {
				t.Errorf("ended with %v", err)
			}
			if !bytes.Contains(shown(), []byte("Access-Accept")) {
				t.Errorf("it shows no login: %s", shown())
			}
			nothingLeft(t, folder)
		})
	}
}

func nothingLeft(t *testing.T, folder string) {
	t.Helper()
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind in the temporary folder: %v %v", left, err)
	}
}
