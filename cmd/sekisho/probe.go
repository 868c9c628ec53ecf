package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/directory"
	"sekisho/storage"
	"sekisho/token"
)

// finding is one thing that a probe has looked at.
type finding struct {
	State   string `json:"state"` // ok, warning or fault
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Advice  string `json:"advice,omitempty"` // what to do; empty when all is well
}

const (
	fine    = "ok"
	warning = "warning"
	fault   = "fault"
)

func (f finding) isFault() bool { return f.State == fault }

// probe looks at everything around the service that the configuration names. It changes nothing, and it leaves a service
// that runs alone.
func (c *Config) probe(ctx context.Context, now time.Time) []finding {
	key, keyErr := token.LoadOuterKey(c.Keys.File)
	p := storage.Look(ctx, c.Storage, key)
	all := storageFindings(p, keyErr)
	all = append(all, clockFinding(now, kernelSynchronised(), p.Newest))
	runs := p.Holder != ""
	for _, t := range c.Radius.TryListen() {
		all = append(all, listenFinding("RADIUS "+t.Address, t.Err, runs))
	}
	if c.Metrics.Listen != "" {
		l, err := net.Listen("tcp", c.Metrics.Listen)
		if err == nil {
			_ = l.Close()
		}
		all = append(all, listenFinding("metrics "+c.Metrics.Listen, err, runs))
	}
	all = append(all, socketFinding(c.Admin.Socket))
	for _, d := range c.directories() {
		all = append(all, d.probe(ctx, now)...)
	}
	if c.Mail.On() {
		if err := c.Mail.Probe(ctx); err != nil {
			all = append(all, finding{fault, "mail", err.Error(), "correct the mail section; 'sekisho test mail ADDRESS' sends one"})
		} else {
			all = append(all, finding{fine, "mail", c.Mail.Server + " takes a conversation, sign-in included", ""})
		}
	}
	return all
}

// mib is how room on a disk is counted in the configuration.
const mib = 1 << 20

func storageFindings(p storage.Probe, keyErr error) []finding {
	path := p.Config.Path
	db := finding{fine, "database", path + " opens with the key, and is the one that ran here last", ""}
	switch {
	case keyErr != nil:
		db = finding{fault, "key", keyErr.Error(), "correct keys.file, or bring the key back from its safe copy"}
	case errors.Is(p.Err, storage.ErrNotLiving):
		db = finding{fault, "database", p.Err.Error(), "bring the newest file back, or adopt this one"}
	case p.Err != nil:
		db = finding{fault, "database", p.Err.Error(), "correct storage.path and who owns it: " + ownerAdvice(filepath.Dir(path))}
	case p.Holder != "":
		db.Text = fmt.Sprintf("%s is open in the running service (%s), so it was left alone", path, p.Holder)
	case p.Fresh:
		db.Text = path + " does not exist yet; the first start makes it"
	case p.Unclean:
		db = finding{warning, "database", path + " was not closed cleanly, so key and position could not be looked at", "start the service: it recovers by itself; after a second crash look at the disk"}
	}
	all := []finding{db}
	if p.MarkErr != nil {
		all = append(all, finding{fault, "mark", p.MarkErr.Error(), "make the folder, or correct storage.mark: " + ownerAdvice(filepath.Dir(p.Config.Mark))})
	} else {
		all = append(all, finding{fine, "mark", filepath.Dir(p.Config.Mark) + " can be written", ""})
	}
	wanted := int64(max(p.Config.FreeSpace, 0)+max(p.Config.Ballast, 0)) * mib
	free := fmt.Sprintf("%d MiB are free in %s", p.Free/mib, filepath.Dir(path))
	switch {
	case p.FreeErr != nil:
		all = append(all, finding{fault, "disk", p.FreeErr.Error(), "correct storage.path"})
	case p.Free < wanted:
		all = append(all, finding{fault, "disk", fmt.Sprintf("%s, and %d are wanted", free, wanted/mib), "free some space, or lower storage.free_space"})
	case p.Free < 2*wanted:
		all = append(all, finding{warning, "disk", fmt.Sprintf("%s; below %d operators' changes are refused", free, wanted/mib), "free some space soon"})
	default:
		all = append(all, finding{fine, "disk", free, ""})
	}
	if !p.Machine {
		all = append(all, finding{warning, "machine", p.Config.MachineID + " is missing, so a database copied from another machine is not known as one",
			"run systemd-machine-id-setup, or name another file in storage.machine_id"})
	}
	return all
}

// ownerAdvice says whose a folder is when it is not this user's.
func ownerAdvice(dir string) string {
	st, err := os.Stat(dir)
	if err != nil {
		return "the service's user has to be able to write there"
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && int(sys.Uid) != os.Geteuid() {
		return fmt.Sprintf("%s belongs to uid %d and this runs as uid %d; run it as the service's user", dir, sys.Uid, os.Geteuid())
	}
	return "the service's user has to be able to write there"
}

// clockSlack is how far the newest used code may lie ahead: its own step and a drifting token's.
const clockSlack = 2 * time.Minute

// clockFinding judges this machine's clock. newest is when the newest code that opened something began to hold, a witness
// of the time that the clock may not fall behind; zero: there is none.
func clockFinding(now time.Time, synchronised bool, newest time.Time) finding {
	const advice = "set the clock and let a time service keep it (chrony, systemd-timesyncd): right codes are refused by a wrong clock"
	switch behind := newest.Sub(now); {
	case !newest.IsZero() && behind > clockSlack:
		return finding{fault, "clock", fmt.Sprintf("it stands at %s, %v behind a code that was used already", now.UTC().Format(time.RFC3339), behind.Round(time.Second)), advice}
	case !synchronised:
		return finding{warning, "clock", "the kernel does not know of a time service that keeps it; it stands at " + now.UTC().Format(time.RFC3339), advice}
	}
	return finding{fine, "clock", "a time service keeps it", ""}
}

// witnessFinding compares the clock with another machine's, asked at the moment now.
func witnessFinding(who string, now, theirs time.Time) finding {
	off := now.Sub(theirs).Round(time.Second)
	subject := "clock, asked " + who
	switch {
	case off.Abs() > 30*time.Second:
		return finding{fault, subject, fmt.Sprintf("this machine is %v apart from it (%s here, %s there)", off.Abs(), now.UTC().Format(time.RFC3339), theirs.UTC().Format(time.RFC3339)),
			"find out which of the two is wrong; time-based codes go by this machine's clock"}
	case off.Abs() > 5*time.Second:
		return finding{warning, subject, fmt.Sprintf("this machine is %v apart from it", off.Abs()), "let a time service keep both clocks"}
	}
	return finding{fine, subject, "the two agree", ""}
}

func listenFinding(subject string, err error, runs bool) finding {
	switch {
	case err == nil:
		return finding{fine, subject, "can be bound", ""}
	case errors.Is(err, unix.EADDRINUSE) && runs:
		return finding{fine, subject, "is taken, as it should be while the service runs", ""}
	case errors.Is(err, unix.EADDRINUSE):
		return finding{fault, subject, "another program has it", "find it with 'ss -lpn' and stop it, or choose another address"}
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return finding{fault, subject, "this machine has no such address", "look at 'ip address', or leave the host out"}
	case errors.Is(err, unix.EACCES):
		return finding{fault, subject, "this user may not bind it", "choose a port above 1023, or give the unit CAP_NET_BIND_SERVICE"}
	}
	return finding{fault, subject, err.Error(), "choose another address"}
}

func socketFinding(path string) finding {
	dir := filepath.Dir(path)
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return finding{warning, "admin socket", fmt.Sprintf("%s may not be written now: %v", dir, err), "the unit makes it at the start (RuntimeDirectory=); else make it for the service's user"}
	}
	return finding{fine, "admin socket", dir + " can be written", ""}
}

func (d *DirectoryConfig) probe(ctx context.Context, now time.Time) []finding {
	subject := "directory " + d.Name
	switch d.Type {
	case "file":
		return []finding{{fine, subject, d.File.File + " was read", ""}} // as part of reading the configuration
	case "none":
		return []finding{{fine, subject, "users are those to whom tokens were given", ""}}
	}
	var all []finding
	if d.LDAP.CAFile != "" {
		all = append(all, caFindings(subject, d.LDAP.CAFile, now)...)
	}
	l, err := directory.OpenLDAP(d.Name, d.LDAP)
	if err != nil {
		return append(all, finding{fault, subject, err.Error(), "correct the configuration"})
	}
	defer l.Close()
	return append(all, serverFindings(ctx, subject, l, d.LDAP, now)...)
}

// expirySoon is how long before its end a certificate is warned about.
const expirySoon = 30 * 24 * time.Hour

// certificateFinding judges one certificate at a moment.
func certificateFinding(subject string, c *x509.Certificate, now time.Time) finding {
	left := c.NotAfter.Sub(now)
	day := c.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case now.Before(c.NotBefore):
		return finding{fault, subject, fmt.Sprintf("%s holds only from %s on", certificateName(c), c.NotBefore.UTC().Format(time.RFC3339)), "compare this machine's clock with another one, or wait"}
	case left <= 0:
		return finding{fault, subject, fmt.Sprintf("%s ended on %s", certificateName(c), day), "renew it; if it was renewed, compare this machine's clock with another one"}
	case left < expirySoon:
		return finding{warning, subject, fmt.Sprintf("%s ends on %s, in %d days", certificateName(c), day, int(left.Hours()/24)), "renew it now: at its end nobody can log in with a password"}
	}
	return finding{fine, subject, fmt.Sprintf("%s holds until %s", certificateName(c), day), ""}
}

func certificateName(c *x509.Certificate) string {
	if name := c.Subject.String(); name != "" {
		return "the certificate of " + name
	}
	return "the certificate"
}

// caFindings tells about the certificates of a file that are near their end or past it.
func caFindings(subject, file string, now time.Time) (all []finding) {
	text, err := os.ReadFile(file)
	if err != nil {
		return []finding{{fault, subject, err.Error(), "correct ca_file"}}
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			if f := certificateFinding(subject+", "+file, c, now); f.State != fine {
				all = append(all, f)
			}
		}
	}
	return all
}

// printFindings writes one line for each finding, what to do about it below, and the sum; it reports whether there is no
// fault.
func (a *app) printFindings(all []finding) (good bool, err error) {
	count := map[string]int{}
	err = a.table("", func(w io.Writer) {
		for _, f := range all {
			count[f.State]++
			fmt.Fprintf(w, "%s\t%s\t%s\n", f.State, f.Subject, strings.ReplaceAll(f.Text, "\n", "; "))
			if f.Advice != "" {
				fmt.Fprintf(w, "\t\t-> %s\n", f.Advice)
			}
		}
	})
	fmt.Fprintf(a.out, "ok: %d, warnings: %d, faults: %d\n", count[fine], count[warning], count[fault])
	return count[fault] == 0, err
}
