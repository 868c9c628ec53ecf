package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the manual pages, one for each command",
		Example: "  sekisho man /usr/local/share/man/man1\n  man sekisho-token-import",
		Args:    arguments("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // manual pages are for everybody
				return fmt.Errorf("making the folder: %w", err)
			}
			return manual(cmd.Root(), args[0])
		},
	}
}

// manual writes the page of a command and those below it.
func manual(cmd *cobra.Command, dir string) error {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			if err := manual(c, dir); err != nil {
				return err
			}
		}
	}
	cmd.DisableAutoGenTag = true // the page is about the command, not about when it was made
	page := filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
	f, err := os.Create(page)
	if err != nil {
		return fmt.Errorf("writing a manual page: %w", err)
	}
	err = doc.GenMan(cmd, &doc.GenManHeader{Section: "1", Source: "Sekisho", Manual: "Sekisho"}, f)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("writing the manual page %s: %w", page, err)
	}
	return nil
}
