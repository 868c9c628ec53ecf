package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"

	"github.com/spf13/cobra"

	"sekisho/backup"
	"sekisho/storage"
	"sekisho/token"
)

func (a *app) restoreCommand() *cobra.Command {
	var adopt, replace bool
	var identity string
	cmd := &cobra.Command{
		Use: "restore FILE --identity KEY | --adopt", Short: "Go on with a backup, or with a database that was copied or moved",
		Long: "The service has to be stopped. Codes that were used after the backup was made are not known in it: event-based tokens are\n" +
			"suspended until their resync, time-based ones refuse codes up to the present moment.\n\n" +
			"With FILE, a backup, the database of it comes to storage.path; KEY is the file of 'sekisho backup key'. keys.file has to\n" +
			"be the one of the service that made the backup. A backup that is damaged, cut short or of other keys changes nothing.\n" +
			"With --adopt the database that lies at storage.path already becomes the living one.",
		Example: "  sekisho restore sekisho-2026-01-31.backup --identity /media/safe/backup.key\n  sekisho restore --adopt",
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
			if adopt {
				done, err := storage.Adopt(cmd.Context(), c.Storage, key, storage.Env{Log: newLog(a.err, c.Log)}, whoRuns(), c.window().Ahead)
				if err != nil {
					return err
				}
				fmt.Fprintf(a.out, wordAdopted+"\n", adoption(done))
				return nil
			}
			return a.restore(cmd.Context(), c, key, args[0], identity, replace)
		},
	}
	cmd.Flags().BoolVar(&adopt, "adopt", false, "adopt the file that storage.path names")
	cmd.Flags().StringVar(&identity, "identity", "", "secret `key` file that opens the backup")
	cmd.Flags().BoolVar(&replace, "replace", false, "move a database that is there aside, under a name that is printed")
	a.configFlag(cmd)
	return cmd
}

// restore puts a backup where storage.path leads.
func (a *app) restore(ctx context.Context, c *Config, key *token.OuterKey, file, identity string, replace bool) error {
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
	r, err := storage.Restore(ctx, c.Storage, key, storage.Env{Log: newLog(a.err, c.Log)}, plain, replace, whoRuns(), c.window().Ahead)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, wordRestored+"\n", file, r.Found)
	if r.Aside != "" {
		fmt.Fprintf(a.out, wordAside+"\n", r.Aside)
	}
	fmt.Fprintf(a.out, wordAdopted+"\n", adoption(r.Adoption))
	return nil
}

// adoption tells what was closed off.
func adoption(d storage.Adoption) string {
	return fmt.Sprintf("epoch %d, %d event-based assignments suspended, %d time-based tokens moved ahead", d.Epoch, d.Suspended, d.Raised)
}

// whoRuns is the system's name of whoever runs this program.
func whoRuns() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
