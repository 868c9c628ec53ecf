package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sekisho/admin"
	"sekisho/authn"
	"sekisho/backup"
	"sekisho/internal/conf"
	"sekisho/storage"
)

// BackupConfig says to whom backups are sealed.
type BackupConfig struct {
	// Recipient is the public key that `sekisho backup key FILE` printed. Who has its file and the key of the store opens the
	// backups. Default: none; then --recipient is needed.
	Recipient string `yaml:"recipient"`
}

func (b *BackupConfig) check(doc *conf.Doc) {
	if b.Recipient == "" {
		return
	}
	if _, err := backup.ParseRecipient(b.Recipient); err != nil {
		doc.Fault("backup.recipient", err.Error(), "copy what 'sekisho backup key FILE' printed")
	}
}

// snapshotPath is where a copy lies until it is sealed: in the data folder, which nobody else reads.
func snapshotPath(c storage.Config) string { return c.Effective().Path + ".snapshot" }

// removeSnapshot takes away what a service that was killed left of a copy. The caller holds the database.
func removeSnapshot(c storage.Config) {
	for _, end := range []string{"", "-wal", "-shm", "-journal"} {
		_ = os.Remove(snapshotPath(c) + end)
	}
}

// backup makes a copy of the store for the recipient that is named, else for the one of config.
func (s *service) backup(config *Config) func(context.Context, string) (*admin.Backup, error) {
	return func(ctx context.Context, named string) (*admin.Backup, error) {
		text := cmp.Or(named, config.Backup.Recipient)
		if text == "" {
			return nil, &authn.Refusal{Code: "no-recipient", Sentence: wordNoRecipient}
		}
		to, err := backup.ParseRecipient(text)
		if err != nil {
			return nil, &authn.Refusal{Code: "bad-recipient", Sentence: err.Error()}
		}
		began := time.Now()
		copied, seq, err := s.snapshot(ctx)
		switch {
		case errors.Is(err, storage.ErrSnapshotBusy), errors.Is(err, storage.ErrSnapshotRoom):
			return nil, &authn.Refusal{Code: "backup-not-now", Sentence: err.Error()}
		case err != nil:
			return nil, err
		}
		s.log.Info("the database was copied for a backup", "seq", seq, "took", time.Since(began).Round(time.Millisecond))
		return &admin.Backup{
			Seq: seq, Recipient: to.String(),
			Write: func(w io.Writer) error { return seal(w, to, copied, seq) },
			Close: func() { _ = copied.Close() },
		}, nil
	}
}

// snapshot gives a copy of the database that has no name any more, so that nothing of it stays behind.
func (s *service) snapshot(ctx context.Context) (copied *os.File, seq uint64, err error) {
	if !s.snapshots.TryLock() {
		return nil, 0, storage.ErrSnapshotBusy
	}
	defer s.snapshots.Unlock()
	path := snapshotPath(s.config.Storage)
	if seq, err = s.db.Snapshot(ctx, path, nil); err != nil {
		return nil, 0, err
	}
	defer removeSnapshot(s.config.Storage)
	copied, err = os.Open(path)
	return copied, seq, err
}

// seal writes a copy as a backup.
func seal(w io.Writer, to backup.Recipient, copied *os.File, seq uint64) error {
	st, err := copied.Stat()
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	out, err := backup.NewWriter(w, to, backup.Header{Made: time.Now().UTC().Truncate(time.Second), Host: host, Version: versionText(), Seq: seq, Size: st.Size()})
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, copied); err != nil {
		return err
	}
	return out.Close()
}

func (a *app) backupCommand() *cobra.Command {
	var to, recipient string
	cmd := a.remote(&cobra.Command{
		Use: "backup --to FILE", Short: "Write one sealed file with everything but the key of the store, while logins go on",
		Long: "The service copies its database and seals the copy to a recipient, so that who finds the file can do nothing with it. Make the\n" +
			"pair of keys once with 'sekisho backup key FILE', name the recipient as backup.recipient in the configuration, and lock\n" +
			"FILE away beside the sheet of keys.file: a restore needs both. FILE of --to must not exist; it appears when it is whole.",
		Example: "  sekisho backup --to /mnt/backups/sekisho-2026-01-31.backup\n  sekisho backup show /mnt/backups/sekisho-2026-01-31.backup",
		Args:    noMore,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return usageError{errors.New("say --to FILE")}
			}
			began := time.Now()
			h, size, err := a.fetchBackup(cmd.Context(), to, recipient)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, wordBackedUp+"\n", to, h.Seq, size, time.Since(began).Round(10*time.Millisecond), h.Recipient)
			return nil
		},
	})
	cmd.Flags().StringVar(&to, "to", "", "the `file` to write, which must not exist")
	cmd.Flags().StringVar(&recipient, "recipient", "", "seal to this recipient `key` (default: backup.recipient of the service's configuration)")
	cmd.AddCommand(a.backupKey(), a.backupShow())
	return cmd
}

// noMore is for a command that holds others and takes no arguments of its own.
func noMore(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), suggestions(cmd, args[0]))}
	}
	return nil
}

// fetchBackup has the service make a backup and gives it its name when it is whole and on disk.
func (a *app) fetchBackup(ctx context.Context, to, recipient string) (h backup.Header, size int64, err error) {
	if _, err := os.Lstat(to); err == nil {
		return h, 0, fmt.Errorf("%s exists already; a backup replaces no file", to)
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".sekisho-backup-*") // 0600
	if err != nil {
		return h, 0, fmt.Errorf("writing the backup: %w", err)
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	path := "/api/v1/backup"
	if recipient != "" {
		path += "?" + url.Values{"recipient": {recipient}}.Encode()
	}
	res, err := a.api().send(ctx, http.MethodPost, path, nil)
	if err != nil {
		return h, 0, err
	}
	defer func() { _ = res.Body.Close() }()
	size, err = io.Copy(f, res.Body)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		h, err = backup.Check(f)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return h, 0, fmt.Errorf(wordBackupCut, err)
	}
	if err := os.Link(f.Name(), to); errors.Is(err, fs.ErrExist) { // unlike a rename it replaces nothing
		return h, 0, fmt.Errorf("%s exists already; a backup replaces no file", to)
	} else if err != nil {
		return h, 0, renameNew(f.Name(), to, err)
	}
	return h, size, syncFolder(filepath.Dir(to))
}

// renameNew is the way where a file system knows no links.
func renameNew(from, to string, why error) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s exists already; a backup replaces no file", to)
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("writing the backup: %w", errors.Join(why, err))
	}
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

func (a *app) backupKey() *cobra.Command {
	return &cobra.Command{
		Use: "key FILE", Short: "Make the pair of keys for backups: the secret one into FILE, the recipient is printed",
		Long: "FILE opens every backup made for the recipient. Make it on another machine than the service's, or take it off that one, and lock\n" +
			"it away beside the sheet of keys.file.",
		Args: arguments("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			i, err := backup.NewIdentity()
			if err != nil {
				return err
			}
			if err := backup.WriteIdentity(args[0], i); err != nil {
				return err
			}
			fmt.Fprintf(a.out, wordBackupKey+"\n", args[0], i.Recipient())
			return nil
		},
	}
}

func (a *app) backupShow() *cobra.Command {
	return &cobra.Command{
		Use: "show FILE", Short: "Tell what a backup is, and whether it is there to its end; no key is needed",
		Args: arguments("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("reading the backup: %w", err)
			}
			defer func() { _ = f.Close() }()
			h, whole := backup.Check(f)
			if h.Recipient == "" {
				return fmt.Errorf("%s: %w", args[0], whole)
			}
			err = a.table("", func(w io.Writer) {
				fmt.Fprintf(w, "made\t%s on %q\nversion\t%q\nnewest event\t%d\nsize\t%d octets\nrecipient\t%q\n",
					h.Made.Local().Format("2006-01-02 15:04:05 MST"), h.Host, h.Version, h.Seq, h.Size, h.Recipient)
			})
			if err != nil {
				return err
			}
			if whole != nil {
				return fmt.Errorf("%s: %w", args[0], whole)
			}
			fmt.Fprintln(a.out, "It is there to its end; that nothing was changed shows when it is restored.")
			return nil
		},
	}
}
