package conf_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sekisho/authn"
	"sekisho/internal/conf"
)

type client struct {
	Name    string         `yaml:"name"`
	Address []netip.Prefix `yaml:"address"`
	Secret  authn.Secret   `yaml:"secret"`
	Old     []authn.Secret `yaml:"old"`
}

type config struct {
	Radius struct {
		Listen  []string      `yaml:"listen"`
		Wait    time.Duration `yaml:"wait"`
		Clients []client      `yaml:"clients"`
		Require *bool         `yaml:"require"`
		hidden  int
	} `yaml:"radius"`
	Limits struct {
		Tries uint8   `yaml:"tries"`
		Share float64 `yaml:"share"`
	} `yaml:"limits"`
	Reply map[string][]string `yaml:"reply"`
	Now   func() time.Time
}

func write(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSourcesMergeInOrder(t *testing.T) {
	dir := t.TempDir()
	secret := write(t, dir, "s", "from a file\n", 0o640)
	two := write(t, dir, "two", "one\ntwo\n", 0o600)
	main := write(t, dir, "sekisho.yaml", `
radius:
  listen: [":1", ":2"]
  wait: 5s
  clients:
    - name: first
      address: 10.0.0.0/8
      secret_file: `+secret+`
limits:
  tries:
reply: {Class: staff, Filter-Id: [a, b]}
`, 0o644)
	write(t, dir, "conf.d/20.yaml", "radius: {listen: ':9', clients: [{name: third, secret: 0123}]}\n", 0o640)
	write(t, dir, "conf.d/10.yaml", "radius:\n  require: true\n  clients:\n  - name: second\n    old_file: "+two+"\n", 0o640)
	write(t, dir, "conf.d/ignored.yml", "nonsense", 0o640)

	var got config
	got.Limits.Tries = 7
	doc := conf.Load(&got, main, []string{
		"HOME=/", "SEKISHO__LIMITS__SHARE=0.25", "SEKISHO__RADIUS__CLIENTS__0__NAME=renamed",
		"SEKISHO__RADIUS__CLIENTS__1__SECRET_FILE=" + secret, "SEKISHO_REAL=1",
	})
	if err := doc.Err(); err != nil {
		t.Fatal(err)
	}
	yes := true
	var want config
	want.Radius.Listen = []string{":9"}
	want.Radius.Wait = 5 * time.Second
	want.Radius.Require = &yes
	want.Radius.Clients = []client{
		{Name: "renamed", Address: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Secret: authn.NewSecret([]byte("from a file"))},
		{Name: "second", Secret: authn.NewSecret([]byte("from a file")),
			Old: []authn.Secret{authn.NewSecret([]byte("one")), authn.NewSecret([]byte("two"))}},
		{Name: "third", Secret: authn.NewSecret([]byte("0123"))},
	}
	want.Limits.Tries, want.Limits.Share = 7, 0.25
	want.Reply = map[string][]string{"Class": {"staff"}, "Filter-Id": {"a", "b"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(authn.Secret{}), cmpopts.IgnoreFields(config{}, "Now", "Radius.hidden"),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if p := doc.Place("radius.clients[2].name"); !strings.HasSuffix(p.File, "20.yaml") || p.Line != 1 {
		t.Errorf("place of the third client: %+v", p)
	}
	if p := doc.Place("limits.share"); p.File != "environment variable SEKISHO__LIMITS__SHARE" {
		t.Errorf("place of a variable: %+v", p)
	}
}

// TestFaults holds what each fault says: place, key, problem, advice.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	open := write(t, dir, "open", "hunter2", 0o644)
	empty := write(t, dir, "empty", "\n", 0o600)
	tests := []struct {
		name, yaml string
		want       []string // each a part of the message
	}{
		{"unknown key", "radius:\n  lisen: x\n", []string{`f.yaml:2:3: unknown key "radius.lisen"; did you mean "listen"?`, "     2 |   lisen: …", "       |   ^"}},
		{"unknown key, nothing near", "zebra: 1\n", []string{`f.yaml:1:1: unknown key "zebra"; the file knows: limits, radius, reply`}},
		{"wrong types", "radius: 5\nlimits:\n  tries: many\n  share: {}\n", []string{
			"f.yaml:1:9: radius: this is a single value, not a section", `f.yaml:3:10: limits.tries: "many" is not a whole number`,
			"f.yaml:4:10: limits.share: this is a section, not one value"}},
		{"out of range", "limits: {tries: 256}", []string{`f.yaml:1:17: limits.tries: "256" is not a whole number of 0 or more in range`}},
		{"duration", "radius: {wait: 5}", []string{`radius.wait: "5" is not a duration; write a number and its unit`}},
		{"bool", "radius: {require: yes}", []string{`radius.require: "yes" is not yes or no; write true or false`}},
		{"section where a list is wanted", "radius:\n  clients:\n    name: a\n", []string{"f.yaml:3:5: radius.clients: this is a section, not a list; begin each entry with a dash"}},
		{"bad address", "radius:\n  clients:\n    - address: 10.0.0.256/8\n", []string{"f.yaml:3:16: radius.clients[0].address: "}},
		{"anchor", "limits: &a {tries: 1}", []string{"YAML anchors and aliases are not used here"}},
		{"second document", "limits: {tries: 1}\n---\nlimits: {tries: 2}\n", []string{"f.yaml:3:1: a second document begins here"}},
		{"duplicate key", "limits:\n  tries: 1\n  tries: 2\n", []string{"f.yaml:3:3: "}},
		{"syntax", "radius:\n  wait: [1\nlimits: 2\n", []string{"this is not YAML as it should be"}},
		{"NUL", "radius:\x00", []string{"f.yaml: this is not YAML"}},
		{"readable secret file", "radius:\n  clients:\n    - secret_file: " + open + "\n", []string{
			"f.yaml:3:7: radius.clients[0].secret_file: " + open + " holds a secret and everybody may read it (mode 0644); run: chmod o= " + open}},
		{"missing secret file", "radius:\n  clients:\n    - secret_file: /nowhere/s\n", []string{
			"radius.clients[0].secret_file: /nowhere/s: the file cannot be read: no such file or directory; check the path"}},
		{"empty secret file", "radius:\n  clients:\n    - secret_file: " + empty + "\n", []string{"is empty; write the secret into it"}},
		{"all at once", "a1: 1\nradius: {wait: x}\nlimits: {tries: -1}\n", []string{"f.yaml:1:1: ", "f.yaml:2:16: ", "f.yaml:3:17: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c config
			err := conf.Parse(&c, "f.yaml", []byte(tt.yaml)).Err()
			if err == nil {
				t.Fatal("no fault")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("message\n%v\nlacks %q", err, w)
				}
			}
		})
	}
}

// TestFaultsShowTheirOwnFile: a fault of a second file shows that file's line, not the first one's of the same number.
func TestFaultsShowTheirOwnFile(t *testing.T) {
	dir := t.TempDir()
	main := write(t, dir, "sekisho.yaml", "limits:\n  tries: 7\n", 0o640)
	write(t, dir, "conf.d/10.yaml", "radius:\n  lisen:\n  - x\n", 0o640)
	var c config
	err := conf.Load(&c, main, nil).Err()
	if err == nil || !strings.Contains(err.Error(), "     2 |   lisen:") || strings.Contains(err.Error(), "tries") {
		t.Errorf("the message shows another line: %v", err)
	}
}

func TestFilesAndVariables(t *testing.T) {
	dir := t.TempDir()
	var c config
	err := conf.Load(&c, filepath.Join(dir, "none.yaml"), nil).Err()
	if err == nil || !strings.Contains(err.Error(), "none.yaml: the file cannot be read: no such file") {
		t.Errorf("missing file: %v", err)
	}
	open := write(t, dir, "open.yaml", "radius:\n  clients:\n    - name: a\n      secret: hunter2\n", 0o644)
	err = conf.Load(&c, open, []string{"SEKISHO__LIMITS__TRYS=3", "SEKISHO__RADIUS__WAIT=soon", "SEKISHO__RADIUS=x"}).Err()
	for _, w := range []string{
		"open.yaml:4:15: the file holds a secret and everybody may read it (mode 0644); run: chmod o= ",
		`environment variable SEKISHO__LIMITS__TRYS: the configuration has no such key; did you mean "tries"?`,
		`environment variable SEKISHO__RADIUS__WAIT: radius.wait: "soon" is not a duration`,
		"environment variable SEKISHO__RADIUS: radius: this is a section, not one value",
	} {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("message\n%v\nlacks %q", err, w)
		}
	}
	if err := conf.Load(&c, dir, nil).Err(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
}

// TestSecretsStayHidden breaks configurations around a secret in many ways; no message may hold it.
func TestSecretsStayHidden(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{
		"radius:\n  clients:\n    - secret: {hunter2: 1}\n",
		"radius:\n  clients:\n    - secrt: hunter2\n",
		"radius:\n  clients:\n    - secret: [hunter2\n",
		"radius:\n  clients:\n    - {secret: hunter2, nam: x}\n",
		"radius:\n  clients:\n    - secret: \"hunter2\n",
		"radius:\n  clients:\n    - secret: hunter2: x\n",
		"radius:\n  clients:\n    - secret: |\n        hunter2\n       x: y\n",
		"radius:\n  clients: {secret: hunter2}\n",
		"radius:\n  clients: [{address: 10.0.0.300, secrt: hunter2}]\n",
		"radius:\n  clients:\n    - secret: &hunter2\n",
		"radius:\n  clients:\n    - secret: *hunter2\n",
		"radius:\n  clients:\n    - secret: !hunter2 x\n",
	} {
		var c config
		path := write(t, dir, "f.yaml", text, 0o644)
		err := conf.Load(&c, path, []string{"SEKISHO__RADIUS__CLIENTS__0__SECRT=hunter2"}).Err()
		if err == nil {
			t.Errorf("%q: no fault", text)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q shows the secret:\n%v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "radius: {listen: [a], clients: [{secret: s}]}", "a: [", "? a\n: b", "- 1", "---\n...\n", "limits: &x\n  tries: *x",
		"reply:\n  a: !!binary x\n  ? [1]\n  : 2", "radius:\n\t wait: 1", "<<: {a: 1}", "limits: >\n  x\n", "\"\\u0000\": 1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c config
		if err := conf.Parse(&c, "f.yaml", text).Err(); err != nil {
			_ = err.Error()
		}
	})
}

func TestNearest(t *testing.T) {
	known := []string{"Class", "ASA-Group-Policy", "Filter-Id"}
	for word, want := range map[string]string{"class": "Class", "Clas": "Class", "ASA-Group-Polcy": "ASA-Group-Policy", "filter-ID": "Filter-Id", "Nonsense": "", "": ""} {
		if got := conf.Nearest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
