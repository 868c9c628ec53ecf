package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"sekisho/admin"
	"sekisho/audit"
	"sekisho/storage"
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

// retainEvery is how often what is too old goes. Names that are nobody's have a day, so this is oftener than daily.
const retainEvery = time.Hour

// retain removes what is older than the configuration says, until ctx ends. While the clock is in doubt nothing goes (S21).
func (s *service) retain(ctx context.Context) {
	keep := keepOf(s.config.Audit)
	for wait := time.Minute; ; wait = retainEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if s.clock.Doubt() {
			s.log.Warn("nothing is removed by age while the clock is in doubt")
			continue
		}
		done, err := s.retainOnce(ctx, keep)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Error("what is too old could not all be removed; the next pass goes on", "error", err)
		case done != storage.Kept{}:
			s.log.Info("what was too old is gone", "names_hashed", done.Hashed, "addresses", done.Origins, "events_up_to", done.Cut, "accounting_records", done.Sessions)
		}
	}
}

func keepOf(c audit.Config) storage.Keep {
	c = c.Effective()
	const day = 24 * time.Hour
	return storage.Keep{Events: time.Duration(c.Retention) * day, Origins: time.Duration(c.OriginRetention) * day}
}

// retainOnce makes one pass, which a doubt about the clock ends.
func (s *service) retainOnce(ctx context.Context, keep storage.Keep) (storage.Kept, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if s.clock.Doubt() {
					cancel()
				}
			}
		}
	}()
	return s.db.Retain(ctx, keep, time.Now())
}

func (a *app) auditCommand() *cobra.Command {
	return group("audit", "Check and export what has happened, and take a person out of it", a.auditVerify(), a.auditExport(), a.auditErase())
}

func (a *app) auditVerify() *cobra.Command {
	var stream string
	cmd := a.listing(&cobra.Command{
		Use: "verify", Short: "Walk the audit chain and tell the first place that does not hold",
		Long: "Every link, every event, and every personal part that was not erased is looked at, and the rows of accounts and tokens are\n" +
			"compared with what the events say was used; logins go on meanwhile. The walk begins where retention has cut. The link at\n" +
			"the end can be compared with a head that left the machine; --stream compares the newest of a file of them.\n" +
			"Exit 1: the chain does not hold, or rows differ from it.",
		Example: "  sekisho audit verify\n  sekisho audit verify --stream /mnt/logs/sekisho.jsonl",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, err := a.headsOf(stream)
			if err != nil {
				return err
			}
			var v admin.Verified
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/audit/verify", body, &v); err != nil {
				return err
			}
			if a.json {
				if err := a.printJSON(v); err != nil {
					return err
				}
			}
			switch {
			case !v.OK && a.json:
				return statusError(1)
			case !v.OK:
				for _, row := range v.Differ {
					fmt.Fprintln(a.out, row)
				}
				return errors.New(v.Problem)
			case !a.json:
				a.printVerified(&v)
			}
			return nil
		},
	})
	cmd.Flags().StringVar(&stream, "stream", "", "compare the heads in this `file` of the events that left the machine (JSON lines or syslog)")
	return cmd
}

func (a *app) printVerified(v *admin.Verified) {
	fmt.Fprintf(a.out, "The chain holds up to event %d, link %s.\n", v.Seq, v.Link)
	if v.Since != nil {
		fmt.Fprintf(a.out, "It begins behind event %d of %s; what was before is gone by age.\n", v.Cut, v.Since.Local().Format("2006-01-02 15:04:05"))
	}
	if v.Erased > 0 {
		fmt.Fprintf(a.out, "%d events were erased of whom they name.\n", v.Erased)
	}
	if v.Heads > 0 {
		fmt.Fprintf(a.out, "%d heads that left the machine are in it.\n", v.Heads)
	}
}

// headsOf gives the newest heads of a file of the stream; nil for no file.
func (a *app) headsOf(stream string) (any, error) {
	if stream == "" {
		return nil, nil
	}
	c, _, err := loadConfig(a.configFile(), a.environ)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(stream)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var body admin.VerifyBody
	if err := audit.ReadStream(f, c.Audit.Instance, func(r *audit.Record) {
		if r.Kind != audit.HeadKind {
			return
		}
		if len(body.Heads) == admin.MaxHeads {
			body.Heads = body.Heads[1:]
		}
		body.Heads = append(body.Heads, admin.VerifyHead{Seq: r.Seq, Link: r.Link})
	}); err != nil {
		return nil, fmt.Errorf("%s: %w", stream, err)
	}
	if len(body.Heads) == 0 {
		return nil, fmt.Errorf("%s holds no heads of this installation (audit.instance %q)", stream, c.Audit.Instance)
	}
	return body, nil
}

func (a *app) auditErase() *cobra.Command {
	var names []string
	var reason string
	cmd := a.listing(&cobra.Command{
		Use: "erase USER --reason WHY", Short: "Overwrite what the audit says about a person",
		Long: "Names as typed, addresses and stations go, of all events of the account and of events of no account under a name of it or\n" +
			"of --name; accounting records too. The events stay without them, and so do account and tokens. What was sent to audit.to\n" +
			"and what lies in older backups is not reached. If it is interrupted, call it again.",
		Example: "  sekisho audit erase hana --reason 'request 2041'\n  sekisho audit erase hana --name hana.old@example.com --reason 'request 2041'",
		Args:    arguments("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usageError{errors.New("say why with --reason; it stands in the audit, so name nobody in it")}
			}
			body := map[string]any{"reason": reason, "names": names}
			if names == nil {
				delete(body, "names")
			}
			res, err := a.api().send(cmd.Context(), http.MethodPost, "/api/v1/users/"+url.PathEscape(args[0])+"/erase", body)
			if err != nil {
				return err
			}
			defer func() { _ = res.Body.Close() }()
			show := progressLine{out: a.err, on: terminal(a.err)}
			defer show.end()
			for in := json.NewDecoder(res.Body); ; {
				var line admin.EraseLine
				if err := in.Decode(&line); err != nil {
					return fmt.Errorf(wordEraseCut, err)
				}
				switch {
				case line.Progress != nil:
					show.step(line.Progress)
				case line.Problem != nil:
					show.end()
					return sentences(line.Problem)
				case line.Erased != nil && a.json:
					show.end()
					return a.printJSON(line.Erased)
				case line.Erased != nil:
					show.end()
					fmt.Fprintf(a.out, wordErased+"\n", line.Erased.Events, line.Erased.Sessions)
					return nil
				}
			}
		},
	})
	cmd.Flags().StringArrayVar(&names, "name", nil, "a further `spelling` that was typed for this person")
	cmd.Flags().StringVar(&reason, "reason", "", "why; it stands in the audit")
	return cmd
}

func (a *app) auditExport() *cobra.Command {
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
	return export
}
