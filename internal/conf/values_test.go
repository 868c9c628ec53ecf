package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// hush is a secret as the configuration's packages have them.
type hush struct{ b []byte }

func (h hush) Reveal() []byte { return h.b }

func (h *hush) UnmarshalText(b []byte) error {
	h.b = slices.Clone(b)
	return nil
}

type valuesEntry struct {
	Name   string        `yaml:"name"`
	Secret hush          `yaml:"secret"`
	Wait   time.Duration `yaml:"wait"`
	Tags   []string      `yaml:"tags"`
}

type valuesConfig struct {
	Level  string              `yaml:"level"`
	On     *bool               `yaml:"on"`
	CAFile string              `yaml:"ca_file"`
	Keys   []hush              `yaml:"keys"`
	List   []valuesEntry       `yaml:"list"`
	Map    map[string][]string `yaml:"map"`
	Deep   struct {
		Wait time.Duration `yaml:"wait"`
	} `yaml:"deep"`
	hidden int //nolint:unused // no key, so it is passed over
}

func read(t *testing.T, text string) (valuesConfig, []Value) {
	t.Helper()
	c := valuesConfig{Level: "info"}
	d := Parse(&c, "c.yaml", []byte(text))
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	return c, d.Values(&c)
}

func TestValues(t *testing.T) {
	_, values := read(t, "on: true\nkeys: [a-secret, b-secret]\nlist:\n  - {name: x, secret: c-secret, wait: 90s, tags: [p, q]}\nmap: {k: v}\ndeep: {wait: 5m}\n")
	got := map[string]string{}
	for _, v := range Shown(values) {
		at := "default"
		if v.Given {
			at = v.Place.String()
		}
		got[v.Key] = v.Text + " " + at
	}
	want := map[string]string{"level": "info default", "on": "true c.yaml:1", "keys": "[hidden] c.yaml:2", "list[0].name": "x c.yaml:4",
		"list[0].secret": "[hidden] c.yaml:4", "list[0].wait": "1m30s c.yaml:4", "list[0].tags": "[p, q] c.yaml:4", "map.k": "[v] c.yaml:5",
		"deep.wait": "5m c.yaml:6"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("values\n%v\nwant\n%v", got, want)
	}
	if strings.Contains(fmt.Sprintf("%+v", values), "-secret") {
		t.Error("the values hold a secret")
	}
}

func TestDiff(t *testing.T) {
	const base = "level: info\nlist:\n  - {name: x, secret: c-secret}\n  - {name: y, wait: 1s}\nmap: {k: v}\n"
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", base, nil},
		{"comments and order of keys", "# hello\nmap: {k: v}\n" + strings.Replace(base, "map: {k: v}\n", "", 1), nil},
		{"a value", strings.Replace(base, "info", "debug", 1), []string{"level: info -> debug"}},
		{"a secret", strings.Replace(base, "c-secret", "d-secret", 1), []string{"list[x].secret: [hidden] -> [changed]"}},
		{"a secret that goes", strings.Replace(base, ", secret: c-secret", "", 1), []string{"list[x].secret: [hidden] -> (none)"}},
		{"an entry that goes", strings.Replace(base, "  - {name: x, secret: c-secret}\n", "", 1), []string{"list: [x, y] -> [y]", "list[x]: [an entry] -> (none)"}},
		{"an entry in front", strings.Replace(base, "list:\n", "list:\n  - {name: a}\n", 1), []string{"list: [x, y] -> [a, x, y]", "list[a]: (none) -> [an entry]"}},
		{"another order", "level: info\nlist:\n  - {name: y, wait: 1s}\n  - {name: x, secret: c-secret}\nmap: {k: v}\n", []string{"list: [x, y] -> [y, x]"}},
		{"a map", strings.Replace(base, "k: v", "k: w, l: v", 1), []string{"map.k: [v] -> [w]", "map.l: (none) -> [v]"}},
	} {
		_, before := read(t, base)
		_, after := read(t, tt.text)
		var got []string
		for _, c := range Diff(before, after) {
			got = append(got, c.String())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestDiffOfFiles: a file that a key names counts by its content.
func TestDiffOfFiles(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := "ca_file: " + ca + "\n"
	write := func(s string) {
		if err := os.WriteFile(ca, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	_, before := read(t, text)
	_, same := read(t, text)
	write("two")
	_, after := read(t, text)
	if d := Diff(before, same); len(d) != 0 {
		t.Errorf("nothing was changed: %v", d)
	}
	if d := Diff(before, after); len(d) != 1 || !strings.Contains(d[0].New, "its content has changed") {
		t.Errorf("another content: %v", d)
	}
}

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	creds := filepath.Join(dir, "creds")
	if err := os.Mkdir(creds, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"creds/gw": "from-systemd\n", "c.yaml": "list:\n  - name: x\n    secret_file: ${CREDENTIALS_DIRECTORY}/gw\nca_file: ${CREDENTIALS_DIRECTORY}/ca\nlevel: ${CREDENTIALS_DIRECTORY}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	var c valuesConfig
	path := filepath.Join(dir, "c.yaml")
	d := Load(&c, path, []string{"CREDENTIALS_DIRECTORY=" + creds, "SEKISHO__CA_FILE=${CREDENTIALS_DIRECTORY}/other"})
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	if string(c.List[0].Secret.b) != "from-systemd" || c.CAFile != creds+"/other" || c.Level != "${CREDENTIALS_DIRECTORY}" {
		t.Errorf("read: %q %q %q", c.List[0].Secret.b, c.CAFile, c.Level)
	}
	for _, v := range d.Values(&c) {
		if v.Key == "list[0].secret" && (v.File != creds+"/gw" || v.Place.Line != 3) {
			t.Errorf("the origin of a secret: %+v", v)
		}
	}
	var without valuesConfig
	err := Load(&without, path, nil).Err()
	if n := strings.Count(fmt.Sprint(err), "CREDENTIALS_DIRECTORY is not set"); n != 2 {
		t.Errorf("without the folder: %v", err)
	}
}
