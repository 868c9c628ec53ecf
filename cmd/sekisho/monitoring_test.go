package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sekisho/internal/monitoring"
	"sekisho/token"
)

// TestMonitoring compares alert rules, dashboard and the page of metrics with the metrics that a service really has. With
// UPDATE=1 it writes the files.
func TestMonitoring(t *testing.T) {
	registry := prometheus.NewRegistry()
	dir := t.TempDir()
	config, _, err := loadConfig(writeConfig(t, dir, monitoredSite(t, dir)), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{config: config, log: newLog(io.Discard, config.Log)}
	if err := s.openStore(context.Background(), registry); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.wire(registry); err != nil {
		t.Fatal(err)
	}
	if err := s.radius.Listen(); err != nil {
		t.Fatal(err)
	}
	all, err := monitoring.Metrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, m := range all {
		known = append(known, m.Name)
	}
	for _, name := range monitoring.Names() {
		if !slices.Contains(known, name) {
			t.Errorf("an alert or a panel speaks of %s, which is no metric", name)
		}
	}
	for _, name := range known {
		if !slices.Contains(monitoring.Names(), name) {
			t.Errorf("neither an alert nor a panel shows %s", name)
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr, For string }
		}
	}
	if err := yaml.Unmarshal([]byte(monitoring.Rules()), &rules); err != nil {
		t.Fatal(err)
	}
	for i, r := range rules.Groups[0].Rules {
		if a := monitoring.Alerts[i]; r.Alert != a.Name || r.Expr != a.Expr || r.For != a.For {
			t.Errorf("alert %s reads as %+v", a.Name, r)
		}
	}
	dashboard, err := monitoring.Dashboard()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"packaging/prometheus/sekisho.rules.yaml": monitoring.Rules(),
		"packaging/grafana/sekisho.json":          dashboard,
		"docs/metrics.md":                         monitoring.Page(all),
	} {
		path := filepath.Join("..", "..", filepath.FromSlash(name))
		if os.Getenv("UPDATE") == "1" {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		there, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(there), text); d != "" {
			t.Errorf("%s is not what the program says; run UPDATE=1 go test ./cmd/sekisho -run TestMonitoring (-file +program):\n%s", name, d)
		}
	}
}

// monitoredSite is a configuration with a part of every kind.
func monitoredSite(t *testing.T, dir string) string {
	t.Helper()
	if err := token.NewOuterKeyFile(filepath.Join(dir, "sealing.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`storage: {path: %[1]s/data/sekisho.db, mark: %[1]s/mark, free_space: -1, ballast: -1}
keys: {file: %[1]s/sealing.key}
radius:
  listen: 127.0.0.1:0
  listen_accounting: 127.0.0.1:0
  clients: [{name: gw, addresses: 127.0.0.1, secret: %[2]s, first_factor: gateway}]
directory: {type: none}
policies: [{name: all, first_factor: gateway}]
admin: {socket: %[1]s/admin.sock}
`, dir, serveSecret)
}
