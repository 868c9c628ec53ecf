// radload is a RADIUS load generator for servers that check one-time passwords (Linux, loopback). It logs in many users,
// each with a code that it has never sent before, checks the authenticators of every response, and prints one line of
// JSON.
//
//	radload gen -users N -seed S -format csv|freeradius|freeradius-pap|ldif|oath|ga
//	radload run -addr HOST:PORT -secret S -users N -seed S [-window W | -rate R] ...
//
// See README.md in the folder above.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"sekisho/bench/internal/otpgen"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	switch os.Args[1] {
	case "gen":
		gen(os.Args[2:])
	case "run":
		run(os.Args[2:])
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: radload gen|run [flags]")
	os.Exit(2)
}

// gen writes the users in the form that one server reads.
func gen(args []string) {
	fs := flag.NewFlagSet("gen", flag.ExitOnError)
	n := fs.Int("users", 1000, "number of users")
	seed := fs.String("seed", "bench", "what secrets and passwords are derived from")
	kind := fs.String("kind", "hotp", "hotp|totp, where the format tells them apart")
	format := fs.String("format", "csv", "csv (what sekisho imports), freeradius, freeradius-pap, ldif, oath, ga (a folder, -out)")
	out := fs.String("out", "", "folder for -format ga")
	_ = fs.Parse(args)
	if *kind != "hotp" && *kind != "totp" {
		fail(fmt.Errorf("-kind %s: want hotp or totp", *kind))
	}
	if *format == "ga" {
		fail(otpgen.WriteGoogleAuthenticator(*out, *seed, *kind, *n))
		return
	}
	write, ok := otpgen.Formats[*format]
	if !ok {
		var names []string
		for name := range otpgen.Formats {
			names = append(names, name)
		}
		slices.Sort(names)
		fail(fmt.Errorf("-format %s: want ga, %s", *format, strings.Join(names, ", ")))
	}
	fail(write(os.Stdout, *seed, *kind, *n))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "radload:", err)
		os.Exit(1)
	}
}
