// radload is a RADIUS load generator for OTP servers (Linux). It logs in many
// distinct users, each with a one-time code it has never sent before, checks
// every response's authenticators, and prints one JSON line.
//
//	radload gen   -users N -seed S -format csv|freeradius|freeradius-pap|oath|oath-totp|ga|ldif
//	radload run   -addr HOST:PORT -secret S -users N -seed S [-window W | -rate R] ...
//
// See README.md in the folder above.
package main

import (
	"bufio"
	"encoding/hex"
	"flag"
	"fmt"
	"os"

	"sekisho/bench/internal/otpgen"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: radload gen|run [flags]")
		os.Exit(2)
	}
	switch os.Args[1] {
	case "gen":
		gen(os.Args[2:])
	case "run":
		run(os.Args[2:])
	default:
		fmt.Fprintln(os.Stderr, "usage: radload gen|run [flags]")
		os.Exit(2)
	}
}

func gen(args []string) {
	fs := flag.NewFlagSet("gen", flag.ExitOnError)
	n := fs.Int("users", 1000, "number of users")
	seed := fs.String("seed", "bench", "seed the secrets are derived from")
	format := fs.String("format", "csv", "csv (user,secret,password,pin) | freeradius (TOTP-Secret) | freeradius-pap (Cleartext-Password only) | oath (pam_oath users file, HOTP) | oath-totp | ga (directory of pam_google_authenticator files, -out) | ldif")
	out := fs.String("out", "", "directory for -format ga")
	gakind := fs.String("ga-kind", "hotp", "hotp|totp")
	fs.Parse(args)
	w := bufio.NewWriterSize(os.Stdout, 1<<20)
	defer w.Flush()
	for i := 0; i < *n; i++ {
		u := otpgen.Derive(*seed, i)
		switch *format {
		case "csv":
			fmt.Fprintf(w, "%s,%s,%s,%s\n", u.Name, u.SecretBase32(), u.Password[:], u.PIN[:])
		case "freeradius":
			fmt.Fprintf(w, "%s\tTOTP-Secret := \"%s\", Cleartext-Password := \"%s\"\n", u.Name, u.SecretBase32(), u.Password[:])
		case "freeradius-pap":
			fmt.Fprintf(w, "%s\tCleartext-Password := \"%s\"\n", u.Name, u.Password[:])
		case "oath":
			fmt.Fprintf(w, "HOTP %s - %s\n", u.Name, hex.EncodeToString(u.Secret[:]))
		case "oath-totp":
			fmt.Fprintf(w, "HOTP/T30/6 %s - %s\n", u.Name, hex.EncodeToString(u.Secret[:]))
		case "ga":
			opt := "\" HOTP_COUNTER 1\n\" WINDOW_SIZE 5\n"
			if *gakind == "totp" {
				opt = "\" WINDOW_SIZE 3\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n"
			}
			if err := os.WriteFile(*out+"/"+u.Name, []byte(u.SecretBase32()+"\n"+opt), 0o400); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		case "ldif":
			fmt.Fprintf(w, "dn: uid=%s,ou=people,dc=bench,dc=test\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s\nsn: %s\nuserPassword: %s\n\n",
				u.Name, u.Name, u.Name, u.Name, ssha(u.Password[:], u.Secret[:8]))
		default:
			fmt.Fprintln(os.Stderr, "unknown format", *format)
			os.Exit(2)
		}
	}
}
