package conf

import (
	"encoding"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	revealType   = reflect.TypeFor[interface{ Reveal() []byte }]()
)

func isSecret(t reflect.Type) bool { return t.Implements(revealType) }

// isPlain reports that a value of the type is written as one scalar.
func isPlain(t reflect.Type) bool {
	switch {
	case t == durationType, reflect.PointerTo(t).Implements(textType):
		return true
	case t.Kind() == reflect.Pointer:
		return isPlain(t.Elem())
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice:
		return false
	}
	return true
}

// field is one key that a section knows.
type field struct {
	value  reflect.Value
	isFile bool // the key_file of a secret
}

// fields maps the keys of a section to its fields; inlined structs lend theirs.
func fields(v reflect.Value) map[string]field {
	known := map[string]field{}
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		tag, ok := sf.Tag.Lookup("yaml")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case options == "inline":
			for k, f := range fields(v.Field(i)) {
				known[k] = f
			}
			continue
		case !ok || name == "-" || name == "" || !sf.IsExported():
			continue
		}
		known[name] = field{value: v.Field(i)}
		if t := sf.Type; isSecret(t) || t.Kind() == reflect.Slice && isSecret(t.Elem()) {
			known[name+"_file"] = field{value: v.Field(i), isFile: true}
		}
	}
	return known
}

func names(known map[string]field) []string {
	all := make([]string, 0, len(known))
	for k := range known {
		all = append(all, k)
	}
	sort.Strings(all)
	return all
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// decode sets v from a node; what does not fit becomes a fault and leaves v as it was.
func (d *Doc) decode(n ast.Node, v reflect.Value, path string) {
	switch n := n.(type) {
	case *ast.NullNode, *ast.CommentGroupNode:
		return
	case *ast.TagNode:
		d.add(d.node(n), path, "YAML tags are not used here", "write the value alone")
		return
	case *ast.AnchorNode, *ast.AliasNode:
		d.add(d.node(n), path, "YAML anchors and aliases are not used here", "write the value out")
		return
	}
	if v.Kind() == reflect.Pointer && !reflect.PointerTo(v.Type()).Implements(textType) {
		fresh := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			fresh.Elem().Set(v.Elem())
		}
		d.decode(n, fresh.Elem(), path)
		v.Set(fresh)
		return
	}
	switch {
	case isPlain(v.Type()):
		d.scalar(n, v, path)
	case v.Kind() == reflect.Struct:
		d.section(n, v, path)
	case v.Kind() == reflect.Map:
		d.mapping(n, v, path)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path)
	}
}

// pairs gives the entries of a mapping; a mapping of one entry is another node type in this parser.
func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func (d *Doc) section(n ast.Node, v reflect.Value, path string) {
	entries, ok := pairs(n)
	known := fields(v)
	if !ok {
		d.add(d.node(n), path, "this is "+kind(n)+", not a section", "give its keys in lines below, indented: "+strings.Join(names(known), ", "))
		return
	}
	seen := map[string]bool{}
	for _, e := range entries {
		key := keyText(e.Key)
		at := d.node(e.Key)
		p := join(path, key)
		f, ok := known[key]
		switch {
		case !ok:
			d.unknown(at, path, key, names(known))
		case seen[key]:
			d.add(at, p, "the key stands twice in this section", "keep one of them")
		case f.isFile:
			d.places[p] = at
			d.places[strings.TrimSuffix(p, "_file")] = at
			d.secretFile(at, e.Value, f.value, p)
		default:
			d.places[p] = at
			d.decode(e.Value, f.value, p)
		}
		seen[key] = true
	}
}

func (d *Doc) unknown(at Place, path, key string, known []string) {
	where := "the file"
	if path != "" {
		where = path
	}
	advice := where + " knows: " + strings.Join(known, ", ")
	if near := suggest(key, known); near != "" {
		advice = fmt.Sprintf("did you mean %q?", near)
	}
	if before, _, found := strings.Cut(at.text, key); found {
		at.text = before + key + ": …" // the value may be a secret whose key was mistyped
	}
	d.add(at, "", fmt.Sprintf("unknown key %q", join(path, key)), advice)
}

func (d *Doc) mapping(n ast.Node, v reflect.Value, path string) {
	entries, ok := pairs(n)
	if !ok {
		d.add(d.node(n), path, "this is "+kind(n)+", not a list of name: value", "give one name: value in each line below, indented")
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, e := range entries {
		key := keyText(e.Key)
		p := join(path, key)
		d.places[p] = d.node(e.Key)
		item := reflect.New(v.Type().Elem()).Elem()
		d.decode(e.Value, item, p)
		v.SetMapIndex(reflect.ValueOf(key), item)
	}
}

func (d *Doc) list(n ast.Node, v reflect.Value, path string) {
	elem := v.Type().Elem()
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		if _, isMap := pairs(n); isMap || !isPlain(elem) {
			d.add(d.node(n), path, "this is "+kind(n)+", not a list", "begin each entry with a dash: - …")
			return
		}
		one := reflect.New(elem).Elem()
		d.decode(n, one, path)
		v.Set(reflect.Append(reflect.Zero(v.Type()), one))
		return
	}
	all := v
	if isPlain(elem) {
		all = reflect.Zero(v.Type())
	}
	first := all.Len()
	for i, item := range seq.Values {
		p := fmt.Sprintf("%s[%d]", path, first+i)
		d.places[p] = d.node(item)
		one := reflect.New(elem).Elem()
		d.decode(item, one, p)
		all = reflect.Append(all, one)
	}
	v.Set(all)
}

func (d *Doc) scalar(n ast.Node, v reflect.Value, path string) {
	text, ok := scalarText(n)
	at := d.node(n)
	if isSecret(v.Type()) {
		// Only the place of the key is shown; the line is never quoted.
		at.text = ""
		if d.secret.Line == 0 {
			d.secret = at
		}
	}
	if !ok {
		d.add(at, path, "this is "+kind(n)+", not one value", "write the value behind the colon")
		return
	}
	if isFileKey(path) {
		if text, ok = d.fileName(at, path, text); !ok {
			return
		}
	}
	if problem, advice := setText(v, text); problem != "" {
		d.add(at, path, problem, advice)
	}
}

// isFileKey tells whether the value of a key is the name of a file to be read.
func isFileKey(path string) bool {
	key := path[strings.LastIndexByte(path, '.')+1:]
	return key == "file" || strings.HasSuffix(key, "_file")
}

// fileName puts the folder of the service's credentials into the name of a file.
func (d *Doc) fileName(at Place, path, name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, "${CREDENTIALS_DIRECTORY}")
	switch {
	case !ok:
		return name, true
	case d.creds == "":
		d.add(at, path, "CREDENTIALS_DIRECTORY is not set", "let systemd start the service with LoadCredential=, or set it to a folder that holds the same files")
		return name, false
	}
	return d.creds + rest, true
}

// setText sets a plain value from its text, or says what is wrong with it and what would be right.
func setText(v reflect.Value, text string) (problem, advice string) {
	if v.Kind() == reflect.Pointer {
		fresh := reflect.New(v.Type().Elem())
		problem, advice = setText(fresh.Elem(), text)
		v.Set(fresh)
		return problem, advice
	}
	shown := strconv.Quote(text)
	if len(shown) > 60 {
		shown = "the value"
	}
	if v.Type() == durationType {
		t, err := time.ParseDuration(text)
		if err != nil {
			return shown + " is not a duration", "write a number and its unit: 500ms, 5s, 30m, 24h"
		}
		v.SetInt(int64(t))
		return "", ""
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return err.Error(), ""
		}
		return "", ""
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return shown + " is not yes or no", "write true or false"
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return shown + " is not a whole number in range", "write digits only"
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		i, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return shown + " is not a whole number of 0 or more in range", "write digits only"
		}
		v.SetUint(i)
	case reflect.Float32, reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return shown + " is not a number", "write it as 0.5"
		}
		v.SetFloat(x)
	default:
		return "a " + v.Type().String() + " cannot be configured", ""
	}
	return "", ""
}

// secretFile reads the file that a key_file names into the secret; a list of secrets has one in each line.
func (d *Doc) secretFile(at Place, n ast.Node, v reflect.Value, path string) {
	name, ok := scalarText(n)
	if !ok || name == "" {
		d.add(at, path, "this is not the name of a file", "give the path of a file that holds the secret")
		return
	}
	d.readSecret(at, name, v, path)
}

func (d *Doc) readSecret(at Place, name string, v reflect.Value, path string) {
	name, ok := d.fileName(at, path, name)
	if !ok {
		return
	}
	d.held[strings.TrimSuffix(path, "_file")] = name
	text, mode, err := readFile(name)
	if err != nil {
		d.add(at, path, name+": "+cause(err), "check the path and who may read it")
		return
	}
	if mode&0o007 != 0 {
		d.add(at, path, fmt.Sprintf("%s holds a secret and everybody may read it (mode %04o)", name, mode), "run: chmod o= "+name)
		return
	}
	if v.Kind() != reflect.Slice {
		text := strings.TrimRight(string(text), "\r\n")
		if text == "" {
			d.add(at, path, name+" is empty", "write the secret into it")
			return
		}
		if problem, advice := setText(v, text); problem != "" {
			d.add(at, path, problem, advice)
		}
		return
	}
	all := reflect.Zero(v.Type())
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		one := reflect.New(v.Type().Elem()).Elem()
		if problem, advice := setText(one, line); problem != "" {
			d.add(at, path, problem, advice)
		}
		all = reflect.Append(all, one)
	}
	if all.Len() == 0 {
		d.add(at, path, name+" is empty", "write one secret into each line")
	}
	v.Set(all)
}

func keyText(n ast.MapKeyNode) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	return n.GetToken().Value
}

// scalarText gives a scalar as it is written, so that 0123 and 1.10 stay what they are where text is wanted.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func kind(n ast.Node) string {
	if _, ok := pairs(n); ok {
		return "a section"
	}
	switch n.(type) {
	case *ast.SequenceNode:
		return "a list"
	}
	return "a single value"
}
