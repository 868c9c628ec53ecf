package conf

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// environment sets what variables SEKISHO__SECTION__KEY give; entries of lists are numbered from 0.
func (d *Doc) environment(root reflect.Value, environ []string) {
	const prefix = "SEKISHO__"
	vars := slices.Clone(environ)
	slices.Sort(vars)
	for _, kv := range vars {
		name, text, _ := strings.Cut(kv, "=")
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		at := Place{File: "environment variable " + name}
		d.files = append(d.files, at.File)
		v, path, known := root, "", []string(nil)
		file, found := false, true
		for part := range strings.SplitSeq(strings.ToLower(rest), "__") {
			for v.Kind() == reflect.Pointer {
				if v.IsNil() {
					v.Set(reflect.New(v.Type().Elem()))
				}
				v = v.Elem()
			}
			switch {
			case file:
				found = false
			case isPlain(v.Type()):
				found, known = false, nil
			case v.Kind() == reflect.Struct:
				fs := fields(v)
				f, ok := fs[part]
				found, known, file, v, path = ok, names(fs), f.isFile, f.value, join(path, part)
			case v.Kind() == reflect.Slice:
				i, err := strconv.Atoi(part)
				found = err == nil && i >= 0 && i < v.Len()
				known = nil
				if found {
					v, path = v.Index(i), fmt.Sprintf("%s[%d]", path, i)
				}
			default:
				found = false
			}
			if !found {
				advice := "remove it, or look at the keys of the file: two underscores stand between section and key"
				last := strings.ToLower(rest[strings.LastIndex(rest, "__")+1:])
				if near := suggest(strings.TrimPrefix(last, "_"), known); near != "" {
					advice = fmt.Sprintf("did you mean %q?", near)
				}
				d.add(at, "", "the configuration has no such key", advice)
				break
			}
		}
		if !found {
			continue
		}
		d.places[path] = at
		if file {
			d.places[strings.TrimSuffix(path, "_file")] = at
			d.readSecret(at, text, v, path)
			continue
		}
		d.setEnvironment(at, v, path, text)
	}
}

func (d *Doc) setEnvironment(at Place, v reflect.Value, path, text string) {
	switch {
	case isPlain(v.Type()):
		if isFileKey(path) {
			var ok bool
			if text, ok = d.fileName(at, path, text); !ok {
				return
			}
		}
		if problem, advice := setText(v, text); problem != "" {
			d.add(at, path, problem, advice)
		}
	case v.Kind() == reflect.Slice && isPlain(v.Type().Elem()):
		all := reflect.Zero(v.Type())
		for part := range strings.SplitSeq(text, ",") {
			one := reflect.New(v.Type().Elem()).Elem()
			if problem, advice := setText(one, strings.TrimSpace(part)); problem != "" {
				d.add(at, path, problem, advice)
			}
			all = reflect.Append(all, one)
		}
		v.Set(all)
	default:
		d.add(at, path, "this is a section, not one value", "add the key behind two underscores")
	}
}
