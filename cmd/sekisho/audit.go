package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"sekisho/admin"
	"sekisho/audit"
)

// auditStream sends events off the machine, where the configuration names a target.
func (s *service) auditStream() *audit.Stream {
	c := s.config.Audit
	c.Position = cmp.Or(c.Position, filepath.Join(filepath.Dir(s.config.Storage.Effective().Path), "audit.position"))
	return &audit.Stream{Config: c, Journal: s.db, Log: s.log}
}

// sendAudit runs the stream until ctx ends.
func (s *service) sendAudit(ctx context.Context) {
	if !s.config.Audit.On() {
		return
	}
	if err := s.stream.Run(ctx); err != nil {
		s.log.Error("events do not leave the machine", "error", err)
	}
}

func (a *app) auditCommand() *cobra.Command {
	verify := a.listing(&cobra.Command{
		Use: "verify", Short: "Walk the whole audit chain and tell the first place that does not hold",
		Long: "Every link, every event, and every personal part that was not erased is looked at; logins go on meanwhile. The link at the\n" +
			"end can be compared with a head that left the machine. Exit 1: the chain does not hold.",
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var v admin.Verified
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/audit/verify", nil, &v); err != nil {
				return err
			}
			if a.json {
				if err := a.printJSON(v); err != nil {
					return err
				}
			}
			if !v.OK {
				if a.json {
					return statusError(1)
				}
				return errors.New(v.Problem)
			}
			if !a.json {
				fmt.Fprintf(a.out, "The chain holds up to event %d, link %s.\n", v.Seq, v.Link)
			}
			return nil
		},
	})
	var after uint64
	export := a.remote(&cobra.Command{
		Use: "export", Short: "Write every event as JSON lines, in the order of the chain",
		Long: "Logins and acts, with names and addresses where they were not erased. To go on later, give --after the number (seq) of the\n" +
			"last event that was written. 'audit.to' in the configuration sends them elsewhere as they happen.",
		Example: "  sekisho audit export > events.jsonl\n  sekisho audit export --after 120000 >> events.jsonl",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			res, err := a.api().send(cmd.Context(), http.MethodGet, "/api/v1/audit?after="+strconv.FormatUint(after, 10), nil)
			if err != nil {
				return err
			}
			defer func() { _ = res.Body.Close() }()
			if _, err := io.Copy(a.out, res.Body); err != nil {
				return fmt.Errorf("the service broke off its answer: %w", err)
			}
			return nil
		},
	})
	export.Flags().Uint64Var(&after, "after", 0, "only events behind this number")
	return group("audit", "Check and export what has happened", verify, export)
}
