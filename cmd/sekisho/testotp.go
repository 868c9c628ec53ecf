package main

import (
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"sekisho/token"
)

// otpTest is one run of `test otp`.
type otpTest struct {
	file, encoding, hash string
	digits, period       int
	hotp                 bool
	counter              int64
	window               int
}

func (a *app) testOTP() *cobra.Command {
	t := otpTest{}
	cmd := &cobra.Command{
		Use: "otp [CODE]", Short: "Show the codes of a secret, or tell how far off a code is",
		Long: "For a token whose codes are refused, and for seed files of an unknown form: the secret comes from --secret-file or, without\n" +
			"it, from standard input, as base32, as hex, or as an otpauth URI, which brings its own parameters. No service is asked and\n" +
			"nothing is used up. A service that told whether a code fits one of its tokens would help whoever guesses codes, so it is\n" +
			"not asked: 'sekisho logins' tells why a login was refused. Exit 1: CODE lies outside the window.",
		Example: "  oathtool --totp -b JBSWY3DPEHPK3PXP; echo JBSWY3DPEHPK3PXP | sekisho test otp\n" +
			"  sekisho test otp 123456 --secret-file seed --period 60\n" +
			"  sekisho test otp 755224 --hotp --encoding hex < seed",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("%q is one argument too many", args[1])}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			u, err := t.read(a)
			if err != nil {
				return err
			}
			defer clear(u.Seed)
			if len(args) == 0 {
				t.show(a.out, &u, time.Now())
				return nil
			}
			if t.window < 0 || t.window > 100_000 {
				return usageError{fmt.Errorf("--window %d is out of range: give 0 to 100000", t.window)}
			}
			said, found := t.compare(&u, strings.TrimSpace(args[0]), time.Now())
			if !found {
				return errors.New(said)
			}
			fmt.Fprintln(a.out, said)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.file, "secret-file", "", "`file` with the secret (default: standard input)")
	f.StringVar(&t.encoding, "encoding", "base32", "of the secret: base32 or hex")
	f.StringVar(&t.hash, "hash", "SHA1", "SHA1, SHA256 or SHA512")
	f.IntVar(&t.digits, "digits", 6, "digits of a code, 6 to 8")
	f.IntVar(&t.period, "period", 30, "seconds for which a time-based code holds")
	f.BoolVar(&t.hotp, "hotp", false, "the token counts presses instead of time")
	f.Int64Var(&t.counter, "counter", 0, "first counter to look at, with --hotp")
	f.IntVar(&t.window, "window", 120, "look so many steps to both sides of now, or counters ahead")
	return cmd
}

// read gives the token that secret and flags describe.
func (t *otpTest) read(a *app) (token.URI, error) {
	var text string
	if t.file == "" {
		var err error
		if text, err = a.readSecret("Secret", false); err != nil {
			return token.URI{}, err
		}
	} else {
		f, err := os.Open(t.file)
		if err != nil {
			return token.URI{}, fmt.Errorf("reading the secret: %w", err)
		}
		defer func() { _ = f.Close() }()
		b, err := io.ReadAll(io.LimitReader(f, 4096))
		if err != nil {
			return token.URI{}, fmt.Errorf("reading the secret: %w", err)
		}
		text = strings.TrimSpace(string(b))
	}
	if strings.HasPrefix(text, "otpauth") {
		return token.ParseURI(text)
	}
	secret := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' {
			return -1 // written in groups
		}
		return unicode.ToUpper(r)
	}, text)
	switch t.encoding {
	case "base32":
	case "hex":
		b, err := hex.DecodeString(secret)
		if err != nil {
			return token.URI{}, errors.New("the secret is not hex; give --encoding base32 if it is that")
		}
		secret = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)
	default:
		return token.URI{}, usageError{fmt.Errorf("--encoding %q is neither base32 nor hex", t.encoding)}
	}
	q := url.Values{"secret": {strings.TrimRight(secret, "=")}, "algorithm": {t.hash}, "digits": {strconv.Itoa(t.digits)}}
	mode := "totp"
	if t.hotp {
		mode = "hotp"
		q.Set("counter", strconv.FormatInt(t.counter, 10))
	} else {
		q.Set("period", strconv.Itoa(t.period))
	}
	u, err := token.ParseURI("otpauth://" + mode + "/test?" + q.Encode())
	if err != nil {
		return u, fmt.Errorf("secret and flags make no token: %w", err)
	}
	return u, nil
}

// show prints the codes around now, or the next ones of a counter.
func (t *otpTest) show(w io.Writer, u *token.URI, now time.Time) {
	tok, step := &u.Token, u.Token.StepAt(now)
	if tok.Mode == token.HOTP {
		for n := range int64(5) {
			fmt.Fprintf(w, "counter %d: %s\n", step+n, tok.Code(u.Seed, step+n))
		}
		return
	}
	for n := int64(-1); n <= 1; n++ {
		begin := time.Unix((step+n)*int64(tok.Period), 0)
		note := ""
		if n == 0 {
			note = fmt.Sprintf("  now, for %v more", begin.Add(time.Duration(tok.Period)*time.Second).Sub(now).Round(time.Second))
		}
		fmt.Fprintf(w, "%s from %s%s\n", tok.Code(u.Seed, step+n), begin.Format(time.TimeOnly), note)
	}
}

// compare finds the step nearest to now that a code belongs to, or the first counter, and says so.
func (t *otpTest) compare(u *token.URI, code string, now time.Time) (said string, found bool) {
	tok, step := &u.Token, u.Token.StepAt(now)
	if tok.Mode == token.HOTP {
		for n := range int64(t.window + 1) {
			if tok.Code(u.Seed, step+n) == code {
				return fmt.Sprintf("It is the code of counter %d, %d after the first one.", step+n, n), true
			}
		}
		return fmt.Sprintf("it is the code of none of the counters %d to %d: another secret, hash or number of digits, or a later counter (--counter, --window)", step, step+int64(t.window)), false
	}
	for n := range int64(t.window + 1) {
		for _, off := range []int64{-n, n} {
			if step+off < 0 || tok.Code(u.Seed, step+off) != code {
				continue
			}
			by := (time.Duration(n) * time.Duration(tok.Period) * time.Second).String()
			switch {
			case off < 0:
				return fmt.Sprintf("It is the code of %d steps ago: the token's clock is some %s behind this machine's.", n, by), true
			case off > 0:
				return fmt.Sprintf("It is the code of %d steps ahead: the token's clock is some %s before this machine's.", n, by), true
			}
			return "It is the code of this moment.", true
		}
	}
	return fmt.Sprintf("it is the code of none of the %d steps before and after now: another secret, hash, period or number of digits, or a clock that is further off (--window)", t.window), false
}
