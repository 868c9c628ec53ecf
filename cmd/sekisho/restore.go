package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"

	"github.com/spf13/cobra"

	"sekisho/audit"
	"sekisho/backup"
	"sekisho/storage"
	"sekisho/token"
)

func (a *app) restoreCommand() *cobra.Command {
	var adopt, replace bool
	var identity, stream string
	cmd := &cobra.Command{
		Use: "restore FILE --identity KEY | --adopt", Short: "Go on with a backup, or with a database that was copied or moved",
		Long: "The service has to be stopped. Codes that were used after the backup was made are not known in it: event-based tokens are\n" +
			"suspended until their resync, time-based ones refuse codes up to the present moment.\n\n" +
			"With FILE, a backup, the database of it comes to storage.path; KEY is the file of 'sekisho backup key'. keys.file has to\n" +
			"be the one of the service that made the backup. A backup that is damaged, cut short or of other keys changes nothing.\n" +
			"With --adopt the database that lies at storage.path already becomes the living one.\n\n" +
			"With --stream, the events that left the machine (audit.to) tell which codes were used since: those stay refused, and\n" +
			"event-based tokens go on. Where an event is missing in them, these are suspended all the same.",
		Example: "  sekisho restore sekisho-2026-01-31.backup --identity /media/safe/backup.key --stream /mnt/logs/sekisho.jsonl\n  sekisho restore --adopt",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return usageError{fmt.Errorf("%q is one argument too many", args[1])}
			case adopt && (len(args) > 0 || identity != "" || replace):
				return usageError{errors.New("--adopt goes on with the database that is there; it takes no backup")}
			case !adopt && len(args) == 0:
				return usageError{errors.New("name a backup, or say --adopt")}
			case !adopt && identity == "":
				return usageError{errors.New("say --identity KEY, the file of 'sekisho backup key'")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := loadConfig(a.configFile(), a.environ)
			if err != nil {
				return err
			}
			key, err := token.LoadOuterKey(c.Keys.File)
			if err != nil {
				return err
			}
			env, used := storage.Env{Log: newLog(a.err, c.Log)}, (*audit.Outside)(nil)
			if stream != "" {
				if used, err = readOutside(stream, c.Audit.Instance); err != nil {
					return err
				}
				env.Outside = &storage.Outside{Last: used.Last, Newest: used.Newest, Missing: used.Missing}
			}
			if adopt {
				done, err := storage.Adopt(cmd.Context(), c.Storage, key, env, whoRuns(), c.window().Ahead)
				if err != nil {
					return err
				}
				a.adopted(done, used)
				return nil
			}
			return a.restore(cmd.Context(), c, key, env, used, args[0], identity, replace)
		},
	}
	cmd.Flags().BoolVar(&adopt, "adopt", false, "adopt the file that storage.path names")
	cmd.Flags().StringVar(&identity, "identity", "", "secret `key` file that opens the backup")
	cmd.Flags().StringVar(&stream, "stream", "", "`file` of the events that left the machine: JSON lines, or messages of a syslog server")
	cmd.Flags().BoolVar(&replace, "replace", false, "move a database that is there aside, under a name that is printed")
	a.configFlag(cmd)
	return cmd
}

// restore puts a backup where storage.path leads.
func (a *app) restore(ctx context.Context, c *Config, key *token.OuterKey, env storage.Env, used *audit.Outside, file, identity string, replace bool) error {
	by, err := backup.LoadIdentity(identity)
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("reading the backup: %w", err)
	}
	defer func() { _ = f.Close() }()
	plain, err := backup.NewReader(f, by)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	r, err := storage.Restore(ctx, c.Storage, key, env, plain, replace, whoRuns(), c.window().Ahead)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, wordRestored+"\n", file, r.Found)
	if r.Aside != "" {
		fmt.Fprintf(a.out, wordAside+"\n", r.Aside)
	}
	a.adopted(r.Adoption, used)
	return nil
}

// readOutside reads the events that left the machine.
func readOutside(file, instance string) (*audit.Outside, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	used, err := audit.ReadOutside(f, instance)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if used.Newest == 0 {
		return nil, fmt.Errorf(wordNoEvents, file, instance)
	}
	return used, nil
}

// adopted tells what was closed off, and what operators did in the time that was lost.
func (a *app) adopted(d storage.Adoption, used *audit.Outside) {
	text := fmt.Sprintf("epoch %d, %d event-based assignments suspended, %d time-based tokens moved ahead", d.Epoch, d.Suspended, d.Raised)
	if used != nil {
		text += fmt.Sprintf(", %d tokens behind the steps that the stream knows", d.Known)
	}
	fmt.Fprintf(a.out, wordAdopted+"\n", text)
	if d.Suspended > 0 {
		fmt.Fprintln(a.out, wordSuspended)
	}
	if used == nil {
		return
	}
	fmt.Fprintf(a.out, wordStreamEnds+"\n", used.Newest, used.At.Local().Format("2006-01-02 15:04:05"))
	if d.Gap != "" {
		fmt.Fprintf(a.out, wordStreamGap+"\n", d.Gap)
	}
	lost := slices.DeleteFunc(slices.Clone(used.Acts), func(r audit.Record) bool { return r.Seq <= d.Found })
	if len(lost) > 0 {
		fmt.Fprintln(a.out, wordLostActs)
	}
	for _, r := range lost {
		fmt.Fprintf(a.out, "  event %d  %s  %s by %s: %s %s\n", r.Seq, r.At.Local().Format("2006-01-02 15:04:05"), r.Act, r.Actor, r.Detail, r.Token)
	}
}

// whoRuns is the system's name of whoever runs this program.
func whoRuns() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
