package token

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxKeyFile bounds what is read of a key file, in octets; comments fit many times over.
const maxKeyFile = 8 << 10

// NewOuterKeyFile makes a key and writes it to a new file that only its owner may read. It never overwrites: the old key
// may be all that opens a store.
func NewOuterKeyFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making key file %s: it exists already and is not overwritten, because it may be the only key to a store; choose another name", path)
	}
	if err != nil {
		return fmt.Errorf("making key file: %w", err)
	}
	if err := writeOuterKey(f); err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("making key file %s: %w", path, err)
	}
	return nil
}

// writeOuterKey returns once the key is on the disk, its name in the folder included: a store sealed under a key that a
// power cut takes away is lost.
func writeOuterKey(f *os.File) error {
	var key [keySize]byte
	_, _ = rand.Read(key[:])
	text := "# Outer key of a Sekisho store. Keep a copy away from this machine; without it the store cannot be opened.\n" +
		base64.StdEncoding.EncodeToString(key[:]) + "\n"
	_, err := f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}

// LoadOuterKey reads a key file. Files that others than the owner may read are refused, except in systemd's folder of
// credentials ($CREDENTIALS_DIRECTORY), where the mode of a file shows access that systemd gave to this service alone.
func LoadOuterKey(path string) (*OuterKey, error) {
	// Without O_NONBLOCK a named pipe would hold the start until somebody writes to it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the outer key: %w; make one with 'sekisho keys new FILE' or correct the path", err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the outer key: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("reading the outer key: %s is not a plain file", path)
	}
	forbidden := fs.FileMode(0o077)
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && filepath.Clean(dir) == filepath.Dir(path) {
		forbidden = 0o007
	}
	if st.Mode().Perm()&forbidden != 0 {
		return nil, fmt.Errorf("reading the outer key: others may read or change %s (mode %04o); run 'chmod 600 %s'", path, st.Mode().Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the outer key: %w", err)
	}
	defer clear(text)
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("reading the outer key from %s: it is longer than %d octets and so no key file", path, maxKeyFile)
	}
	k, err := parseOuterKey(text)
	if err != nil {
		return nil, fmt.Errorf("reading the outer key from %s: %w", path, err)
	}
	return k, nil
}
