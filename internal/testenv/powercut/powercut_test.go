package powercut

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	_ "modernc.org/sqlite"
)

// TestMain also plays the program of TestSQLite: this process serves the file system, and one that waits for its own
// page faults would wait for ever.
func TestMain(m *testing.M) {
	if path := os.Getenv("POWERCUT_DB"); path != "" {
		if err := sqlite(path, os.Getenv("POWERCUT_SYNCHRONOUS")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func choices() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func syncPath(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
}

func TestContent(t *testing.T) {
	f := Mount(t)
	path := filepath.Join(f.Dir, "a")
	must(t, os.WriteFile(path, []byte("first"), 0o600))
	syncPath(t, path)
	syncPath(t, f.Dir)
	must(t, os.WriteFile(path, []byte("second, and longer"), 0o640))
	if b, err := os.ReadFile(path); err != nil || string(b) != "second, and longer" {
		t.Fatalf("before the cut: %q %v", b, err)
	}
	f.Cut(AllUnsynced, nil)
	if err := os.WriteFile(path+"2", nil, 0o600); !errors.Is(err, syscall.EIO) {
		t.Errorf("without power: %v", err)
	}
	f.Restore()
	if b, err := os.ReadFile(path); err != nil || string(b) != "first" {
		t.Errorf("after the cut: %q %v", b, err)
	}
}

// TestNames wants names kept as they were when their folder was synced, and content apart from names.
func TestNames(t *testing.T) {
	f := Mount(t)
	in := func(name string) string { return filepath.Join(f.Dir, name) }
	for _, name := range []string{"kept", "removed", "old"} {
		must(t, os.WriteFile(in(name), []byte(name), 0o600))
		syncPath(t, in(name))
	}
	must(t, os.Symlink("kept", in("symlink")))
	must(t, os.Link(in("kept"), in("hardlink")))
	syncPath(t, f.Dir)
	must(t, os.Remove(in("removed")))
	must(t, os.Rename(in("old"), in("new")))
	must(t, os.WriteFile(in("unnamed"), []byte("x"), 0o600))
	syncPath(t, in("unnamed"))
	f.Cut(AllUnsynced, nil)
	f.Restore()
	for name, want := range map[string]string{"kept": "kept", "removed": "removed", "old": "old", "symlink": "kept", "hardlink": "kept"} {
		if b, err := os.ReadFile(in(name)); err != nil || string(b) != want {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
	for _, name := range []string{"new", "unnamed"} {
		if _, err := os.Stat(in(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
	must(t, os.WriteFile(in("hardlink"), []byte("both"), 0o600))
	if b, err := os.ReadFile(in("kept")); err != nil || string(b) != "both" {
		t.Errorf("the other name of a file with two: %q %v", b, err)
	}
	must(t, os.WriteFile(in("empty"), []byte("never synced"), 0o600))
	syncPath(t, f.Dir)
	f.Cut(AllUnsynced, nil)
	f.Restore()
	if b, err := os.ReadFile(in("empty")); err != nil || len(b) != 0 {
		t.Errorf("a name without content: %q %v", b, err)
	}
}

// TestSomePages wants each page old or new, whole, and both kinds among a hundred; the same choices, the same outcome.
func TestSomePages(t *testing.T) {
	x := &file{dirty: map[int64]struct{}{}}
	x.write(bytes.Repeat([]byte{'o'}, 100*page), 0)
	x.sync()
	for p := range int64(120) {
		x.write(bytes.Repeat([]byte{'n'}, page), p*page)
	}
	left := x.survivors(SomePages, choices())
	count := map[byte]int{}
	for p := range len(left) / page {
		b := left[p*page : (p+1)*page]
		if bytes.Count(b, b[:1]) != page {
			t.Fatalf("page %d is torn", p)
		}
		count[b[0]]++
	}
	if count['o'] < 20 || count['n'] < 20 {
		t.Errorf("pages of each kind: %v", count)
	}
	if !bytes.Equal(left, x.survivors(SomePages, choices())) {
		t.Error("the same choices left something else")
	}
	if string(x.survivors(AllUnsynced, nil)) != strings.Repeat("o", 100*page) {
		t.Error("something unsynced survived a cut that takes all of it")
	}
}

func TestShrunkAndGrown(t *testing.T) {
	x := &file{dirty: map[int64]struct{}{}}
	x.write(bytes.Repeat([]byte{'o'}, 3*page), 0)
	x.sync()
	x.resize(10)
	x.resize(2 * page)
	x.sync()
	want := append(bytes.Repeat([]byte{'o'}, 10), make([]byte, 2*page-10)...)
	if !bytes.Equal(x.disk, want) || !bytes.Equal(x.data, want) {
		t.Error("what was cut off is back")
	}
}

func TestFaults(t *testing.T) {
	f := Mount(t)
	h, err := os.Create(filepath.Join(f.Dir, "a"))
	must(t, err)
	defer func() { _ = h.Close() }()
	write := func() (int, error) { return syscall.Write(int(h.Fd()), []byte("0123456789")) }
	for _, tt := range []struct {
		name      string
		faults    Faults
		n         int
		err, then error // of a first and a second write
		sync      error
	}{
		{"no room", Faults{Write: syscall.ENOSPC}, -1, syscall.ENOSPC, syscall.ENOSPC, nil},
		{"short", Faults{Short: true}, 5, nil, syscall.ENOSPC, nil},
		{"read-only", Faults{ReadOnly: true}, -1, syscall.EROFS, syscall.EROFS, nil},
		{"sync", Faults{Sync: syscall.EIO}, 10, nil, nil, syscall.EIO},
		{"none", Faults{}, 10, nil, nil, nil},
	} {
		f.Set(tt.faults)
		if n, err := write(); n != tt.n || !errors.Is(err, tt.err) {
			t.Errorf("%s: wrote %d, %v", tt.name, n, err)
		}
		if _, err := write(); !errors.Is(err, tt.then) {
			t.Errorf("%s, second write: %v", tt.name, err)
		}
		if err := h.Sync(); !errors.Is(err, tt.sync) {
			t.Errorf("%s: sync: %v", tt.name, err)
		}
	}
}

// TestFailedSync wants what a failed sync left behind lost for good, also when the next sync says that all is well.
func TestFailedSync(t *testing.T) {
	f := Mount(t)
	path := filepath.Join(f.Dir, "a")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	f.SyncAll()
	h, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = h.Write([]byte("new"))
	must(t, err)
	f.Set(Faults{Sync: syscall.EIO})
	if err := h.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	f.Set(Faults{})
	must(t, h.Sync())
	must(t, h.Close())
	f.Cut(AllUnsynced, nil)
	f.Restore()
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("%q", b)
	}
}

// sqlite opens a database in WAL mode, with -shm mapped, and adds rows until it is killed; it says each number once it is
// committed.
func sqlite(path, synchronous string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=synchronous("+synchronous+")")
	if err != nil {
		return err
	}
	if _, err := db.Exec("create table if not exists t (n integer primary key)"); err != nil {
		return err
	}
	var n int
	if err := db.QueryRow("select coalesce(max(n), 0) from t").Scan(&n); err != nil {
		return err
	}
	fmt.Println(n)
	for {
		n++
		if _, err := db.Exec("insert into t values (?)", n); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// TestSQLite cuts the power under SQLite itself: with synchronous=FULL no commit is lost, with NORMAL, with the [Normal]
// lie and on a disk that ignores syncs there are losses. So the layer shows what it is there to show.
func TestSQLite(t *testing.T) {
	for _, tt := range []struct {
		name, synchronous string
		lie               Lie
		loss              Loss
		loses             bool
	}{
		{"full", "full", Honest, AllUnsynced, false},
		{"full, some pages", "full", Honest, SomePages, false},
		{"normal", "normal", Honest, AllUnsynced, true},
		{"the lie of normal", "full", Normal, AllUnsynced, true},
		{"syncs ignored", "full", Ignore, AllUnsynced, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := Mount(t)
			f.Lie(tt.lie)
			rng := choices()
			lost, last := 0, 0
			for range 4 {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), "POWERCUT_DB="+filepath.Join(f.Dir, "db"), "POWERCUT_SYNCHRONOUS="+tt.synchronous)
				out, err := cmd.StdoutPipe()
				must(t, err)
				must(t, cmd.Start())
				first, said := readNumbers(out, 40, func() { f.Cut(tt.loss, rng) })
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				f.Restore()
				if said == 0 {
					t.Fatal("SQLite did not get to work")
				}
				if first < last {
					lost++
				}
				last = said
			}
			if (lost > 0) != tt.loses {
				t.Errorf("%d of 3 cuts lost commits, want losses: %v", lost, tt.loses)
			}
		})
	}
}

// readNumbers reads lines of numbers, calls then after n of them and reads on to the end. It gives the first and the last.
func readNumbers(r interface{ Read([]byte) (int, error) }, n int, then func()) (first, last int) {
	var line []byte
	one := make([]byte, 1)
	for lines := 0; ; {
		if k, err := r.Read(one); err != nil || k == 0 {
			return first, last
		}
		if one[0] != '\n' {
			line = append(line, one[0])
			continue
		}
		if v, err := strconv.Atoi(string(line)); err == nil {
			if last = v; lines == 0 {
				first = v
			}
		}
		line = line[:0]
		if lines++; lines == n {
			then()
		}
	}
}
