// Package conf reads configuration: a YAML file, the files of a conf.d folder beside it, and environment variables, in
// this order, into one Go struct. It is strict and it is complete: unknown keys and wrong types are faults, each with its
// place and what to do, and all of them are reported at once.
//
//	doc := conf.Load(&config, "/etc/sekisho/sekisho.yaml", os.Environ())
//	if config.Radius.Listen == "" { doc.Fault("radius.listen", "is empty", "give address:port") }
//	if err := doc.Err(); err != nil { ... }
//
// Keys are the `yaml` tags of the struct; fields without a tag are not configuration. Later sources win: maps merge, a
// list of plain values replaces the earlier one, a list of sections is appended to it. A single value may stand where a
// list of plain values is wanted. A key without a value keeps its default.
//
// Fields whose type has Reveal() []byte are secrets: their values appear in no message. Each secret `key` can also be
// given as `key_file`, the name of a file that holds it; nobody but its owner and group may read such a file, nor a
// configuration file that holds secrets itself. The names of files, those of secrets and all others under a key `file`
// or `…_file`, may begin with ${CREDENTIALS_DIRECTORY}/, the folder in which systemd hands a service its credentials.
package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile bounds what is read, so that a wrong path (a database, a device) is an error and not an empty machine.
const maxFile = 4 << 20

// Doc is a configuration that was read: where each value stands and what is wrong so far.
type Doc struct {
	files  []string
	places map[string]Place
	held   map[string]string // secrets by key: the file that each was read from
	creds  string            // $CREDENTIALS_DIRECTORY
	faults Faults
	lines  []string       // of the file being read
	shown  map[int]string // of these, by number, as messages show them
	file   string
	secret Place // of the first secret written in the file being read
	broken bool  // a file could not be parsed; faults about missing keys would only mislead
}

// Load reads the file at path, every *.yaml of the folder conf.d beside it in the order of their names, and the
// variables SEKISHO__SECTION__KEY of environ (as os.Environ gives it) into the struct that into points to, which holds
// the defaults. Faults are kept in the Doc; see [Doc.Err].
func Load(into any, path string, environ []string) *Doc {
	d := newDoc()
	for _, kv := range environ {
		if dir, ok := strings.CutPrefix(kv, "CREDENTIALS_DIRECTORY="); ok {
			d.creds = dir
		}
	}
	root := reflect.ValueOf(into).Elem()
	d.load(root, path)
	extra, err := filepath.Glob(filepath.Join(filepath.Dir(path), "conf.d", "*.yaml"))
	if err != nil {
		d.add(Place{File: path}, "", "the folder cannot be searched: "+err.Error(), "")
	}
	slices.Sort(extra)
	for _, p := range extra {
		d.load(root, p)
	}
	d.environment(root, environ)
	return d
}

// Parse reads one text as if it were the file called name, without conf.d and environment.
func Parse(into any, name string, text []byte) *Doc {
	d := newDoc()
	d.parse(reflect.ValueOf(into).Elem(), name, text)
	return d
}

func newDoc() *Doc { return &Doc{places: map[string]Place{}, held: map[string]string{}} }

// Err gives every fault found so far, or nil.
func (d *Doc) Err() error {
	if len(d.faults) == 0 {
		return nil
	}
	d.faults.sort(d.files)
	return d.faults
}

// Complete reports that every file could be parsed, so that looking for missing keys makes sense.
func (d *Doc) Complete() bool { return !d.broken }

// Fault reports what is wrong with the value of a key, at the place of the value or, where it was not given, of the
// nearest section around it. Where the file of a secret could not be taken nothing more is said about the secret.
func (d *Doc) Fault(key, problem, advice string) {
	if slices.ContainsFunc(d.faults, func(f Fault) bool { return f.Key == key+"_file" }) {
		return
	}
	d.add(d.Place(key), key, problem, advice)
}

// Place tells where a key was given: its own place, else that of the nearest section around it, else the first file.
func (d *Doc) Place(key string) Place {
	for k := key; k != ""; k = k[:max(strings.LastIndexAny(k, ".["), 0)] {
		if p, ok := d.places[k]; ok {
			return p
		}
	}
	if len(d.files) == 0 {
		return Place{}
	}
	return Place{File: d.files[0]}
}

// Given reports that some source set the key.
func (d *Doc) Given(key string) bool {
	_, ok := d.places[key]
	return ok
}

// Faults are those found so far.
func (d *Doc) Faults() Faults { return d.faults }

// Files lists what was read, in the order of reading.
func (d *Doc) Files() []string { return d.files }

func (d *Doc) add(p Place, key, problem, advice string) {
	d.faults = append(d.faults, Fault{Place: p, Key: key, Problem: problem, Advice: advice})
}

func (d *Doc) load(root reflect.Value, path string) {
	text, mode, err := readFile(path)
	if err != nil {
		d.files = append(d.files, path)
		d.broken = true
		d.add(Place{File: path}, "", cause(err), "check the path and who may read it")
		return
	}
	d.parse(root, path, text)
	if d.secret.Line > 0 && mode&0o007 != 0 {
		d.add(d.secret, "", fmt.Sprintf("the file holds a secret and everybody may read it (mode %04o)", mode),
			"run: chmod o= "+path)
	}
}

func (d *Doc) parse(root reflect.Value, name string, text []byte) {
	d.files = append(d.files, name)
	d.file, d.lines, d.shown, d.secret = name, strings.Split(string(text), "\n"), map[int]string{}, Place{}
	file, err := parseYAML(text)
	if err != nil {
		d.broken = true
		var y yaml.Error
		if errors.As(err, &y) && y.GetToken() != nil && y.GetToken().Position != nil {
			d.add(d.at(y.GetToken().Position.Line, y.GetToken().Position.Column), "", "this is not YAML as it should be: "+
				safeMessage(y.GetMessage()), "look at indentation, colons and quotes here and in the line above")
			return
		}
		d.add(Place{File: name}, "", "this is not YAML as it should be", "look for a binary file or odd characters")
		return
	}
	seen := false
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if seen {
			d.add(d.node(doc.Body), "", "a second document begins here", "put it into a file of conf.d")
			return
		}
		seen = true
		d.decode(doc.Body, root, "")
	}
}

// parseYAML turns the parser's panics on odd input into errors.
func parseYAML(text []byte) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("parsing: %v", p)
		}
	}()
	if strings.ContainsRune(string(text), 0) {
		return nil, fmt.Errorf("parsing: a NUL octet")
	}
	return parser.ParseBytes(text, 0)
}

// safeMessage keeps the parser's own words and drops what it quotes from the file, which may be a secret.
func safeMessage(m string) string {
	if i := strings.IndexAny(m, "\"`'"); i >= 0 {
		m = strings.TrimRight(m[:i], " :")
	}
	m, _, _ = strings.Cut(m, "\n")
	return m
}

// at is a place in the file being read.
func (d *Doc) at(line, column int) Place {
	p := Place{File: d.file, Line: line, Column: max(1, column)}
	if line >= 1 && line <= len(d.lines) {
		p.text = d.shownAs(line)
		p.Column = min(p.Column, len([]rune(d.lines[line-1]))+1)
		if p.Column > len([]rune(p.text)) {
			p.text = ""
		}
	}
	return p
}

// shownAs is a line as messages show it, worked out once: a list in one line has a place for each of its many values.
func (d *Doc) shownAs(line int) string {
	text, done := d.shown[line]
	if !done {
		text = visible(strings.ReplaceAll(d.lines[line-1], "\t", " "))
		d.shown[line] = text
	}
	return text
}

func (d *Doc) node(n ast.Node) Place {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		n = m.Values[0].Key
	}
	tk := n.GetToken()
	if tk == nil || tk.Position == nil {
		return Place{File: d.file}
	}
	return d.at(tk.Position.Line, tk.Position.Column)
}

func readFile(path string) ([]byte, fs.FileMode, error) {
	// Without O_NONBLOCK a named pipe would hold the reader until somebody writes to it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !st.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("not a regular file")
	}
	if st.Size() > maxFile {
		return nil, 0, fmt.Errorf("larger than 4 MiB, which no configuration is")
	}
	text := make([]byte, st.Size())
	n, err := f.ReadAt(text, 0)
	if n < len(text) && err != nil {
		return nil, 0, err
	}
	return text[:n], st.Mode().Perm(), nil
}

// cause is an error of the file system without the path, which the place already names.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return "the file cannot be read: " + err.Error()
}
