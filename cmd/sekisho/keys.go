package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/spf13/cobra"

	"sekisho/admin"
	"sekisho/authn"
	"sekisho/storage"
	"sekisho/token"
)

// sealing replaces keys and opens what they seal, for the API.
type sealing struct{ *service }

var _ admin.Sealing = sealing{}

func (s sealing) RotateData(ctx context.Context, by *authn.Event) (version uint32, waiting int, err error) {
	version, err = s.db.RotateData(context.WithoutCancel(ctx), by)
	if errors.Is(err, storage.ErrKeyPending) {
		return 0, 0, &authn.Refusal{Code: "key-pending", Sentence: wordKeyPending}
	}
	if err != nil {
		return 0, 0, err
	}
	for _, n := range s.db.TokenCounts() {
		waiting += n
	}
	waiting -= s.db.TokenCounts()[token.Destroyed]
	select {
	case s.reseals <- struct{}{}:
	default:
	}
	return version, waiting, nil
}

func (s sealing) RotateOuter(ctx context.Context, file string, by *authn.Event) error {
	next, err := token.LoadOuterKey(file)
	if err != nil {
		return &authn.Refusal{Code: "bad-key-file", Sentence: err.Error()}
	}
	by.Detail = file
	return s.db.RotateOuter(context.WithoutCancel(ctx), next, by)
}

func (s sealing) VerifySealing(ctx context.Context) (admin.Sealed, error) {
	v, err := s.db.VerifyKeys(ctx)
	return admin.Sealed(v), err
}

// reseal seals seeds of older data keys again, at the start, because a rotation may have been cut, and after each rotation.
func (s *service) reseal(ctx context.Context) {
	for {
		done, failed, err := s.db.Reseal(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Error("seeds wait to be sealed under the new data key; the next start or rotation goes on", "error", err)
		case failed > 0:
			s.log.Error("some seeds do not open and stay as they are; 'sekisho keys verify' names them", "sealed", done, "left", failed)
		case done > 0:
			s.log.Info("seeds were sealed under the newest data key", "seeds", done)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.reseals:
		}
	}
}

func (a *app) keysRotate() *cobra.Command {
	var outer string
	cmd := a.listing(&cobra.Command{
		Use: "rotate", Short: "Replace the data key, or with --outer the key of keys.file, while logins go on",
		Long: "Without --outer a new data key is made inside the store. New seeds are sealed under it at once, all others again in the\n" +
			"background; 'sekisho keys verify' tells how far that is. Nothing outside changes.\n\n" +
			"With --outer FILE, a key of 'sekisho keys new FILE' that the service can read, the data keys are wrapped under that one.\n" +
			"Then print its sheet, name FILE as keys.file and restart. Until that start the former key opens the store too, and\n" +
			"backups of before need the former one for ever: keep its sheet as long as you keep them.",
		Example: "  sekisho keys rotate\n  sekisho keys new /etc/sekisho/sealing-2.key && chown sekisho: /etc/sekisho/sealing-2.key\n  sekisho keys rotate --outer /etc/sekisho/sealing-2.key",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			body := map[string]string{}
			if outer != "" {
				path, err := filepath.Abs(outer)
				if err != nil {
					return err
				}
				body["outer"] = path
			}
			var v admin.RotatedView
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/sealing/rotate", body, &v); err != nil {
				return err
			}
			switch {
			case a.json:
				return a.printJSON(v)
			case outer != "":
				fmt.Fprintf(a.out, wordOuterRotated+"\n", body["outer"])
			default:
				fmt.Fprintf(a.out, wordDataRotated+"\n", v.Version, v.Waiting)
			}
			return nil
		},
	})
	cmd.Flags().StringVar(&outer, "outer", "", "wrap the data keys under the key in this `file`")
	return cmd
}

func (a *app) keysVerify() *cobra.Command {
	return a.listing(&cobra.Command{
		Use: "verify", Short: "Open everything that is sealed, and name what does not open",
		Long: "Every seed, which has to be the one of its fingerprint, the personal parts of events and accounting records, and the records\n" +
			"of the life cycle. Exit 1: something does not open.",
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var v admin.SealedView
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/sealing/verify", nil, &v); err != nil {
				return err
			}
			if a.json {
				if err := a.printJSON(v); err != nil {
					return err
				}
			} else {
				a.printSealed(&v)
			}
			if !v.OK {
				return statusError(1)
			}
			return nil
		},
	})
}

func (a *app) printSealed(v *admin.SealedView) {
	fmt.Fprintf(a.out, "New seals use data key version %d.\n", v.Version)
	for _, x := range v.Seeds {
		fmt.Fprintf(a.out, "%d seeds open under version %d.\n", x.Seeds, x.Version)
	}
	fmt.Fprintf(a.out, "%d rows of the audit and %d accounting records open.\n", v.Rows, v.Sessions)
	if v.Pending {
		fmt.Fprintln(a.out, wordKeyPending)
	}
	for _, p := range v.Problems {
		fmt.Fprintln(a.out, p)
	}
}
