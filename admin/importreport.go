package admin

import (
	"fmt"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// What becomes of a row of an import.
const (
	OutcomeNew  = "new"
	OutcomeHere = "here"
	OutcomeBad  = "bad"
)

// The kinds of faults of an import.
const (
	FaultBadLine       = "bad-line"
	FaultDuplicate     = "duplicate"
	FaultSerialHere    = "serial-here"
	FaultSeedHere      = "seed-here"
	FaultDiffers       = "differs"
	FaultUnknownUser   = "unknown-user"
	FaultAmbiguousUser = "ambiguous-user"
	FaultTooMany       = "too-many-tokens"
	FaultExpired       = "expired"
	FaultUsersList     = "users-list"
)

// maxPlaces bounds how many faults, and how many notes, of a file are told at once where not every row is asked for.
const maxPlaces = 100

// soonExpiring is how near an expiry has to be to be counted.
const soonExpiring = 90 * 24 * time.Hour

// ImportReport says what a seed file holds and what of it came in or, after a dry run or a refusal, would.
type ImportReport struct {
	DryRun   bool `json:"dry_run,omitempty"`
	Tokens   int  `json:"tokens" doc:"that come in"`
	Hardware int  `json:"hardware" doc:"of those"`
	Software int  `json:"software"`
	TOTP     int  `json:"totp"`
	HOTP     int  `json:"hotp"`
	Assigned int  `json:"assigned" doc:"to the users the file names"`
	Users    int  `json:"users" doc:"who get them"`
	Here     int  `json:"here" doc:"rows whose token is here already, unchanged"`

	Expiry ImportExpiry `json:"expiry" doc:"of the tokens that come in"`

	Faults  int            `json:"faults" doc:"rows that cannot come in"`
	ByKind  map[string]int `json:"faults_by_kind,omitempty"`
	Listed  []ImportFault  `json:"fault_list,omitempty" doc:"the first 100; all of them where rows were asked for"`
	Notes   int            `json:"notes" doc:"what is odd and no fault"`
	Remarks []ImportFault  `json:"note_list,omitempty" doc:"as many as faults"`
	Rows    []ImportRow    `json:"rows,omitempty"`
}

// ImportExpiry sums up when the tokens of a file stop, as it was read.
type ImportExpiry struct {
	Earliest string `json:"earliest,omitempty" doc:"RFC 3339"`
	Latest   string `json:"latest,omitempty" doc:"RFC 3339"`
	Soon     int    `json:"within_90_days"`
	Never    int    `json:"never" doc:"tokens that the file gives no expiry"`

	first, last int64
}

// ImportFault is one thing about one row.
type ImportFault struct {
	Line    int    `json:"line,omitempty" doc:"of the seed file, or of the list of users where the kind says so"`
	Name    string `json:"name,omitempty" doc:"PSKC: the key's Id; of an app's bundle, which entry"`
	Column  string `json:"column,omitempty"`
	Kind    string `json:"kind,omitempty"`
	Problem string `json:"problem"`
}

// Where names its place.
func (f *ImportFault) Where() string {
	if f.Kind == FaultUsersList {
		return fmt.Sprintf("list of users, line %d", f.Line)
	}
	return place(f.Line, f.Name, f.Column)
}

func place(line int, name, column string) string {
	where := fmt.Sprintf("line %d", line)
	if name != "" {
		where += ", key " + quoted(name)
	}
	if column != "" {
		where += ", column " + column
	}
	return where
}

// ImportRow is one row of the file as it was read; never its seed.
type ImportRow struct {
	Line       int    `json:"line"`
	Serial     string `json:"serial,omitempty"`
	Form       string `json:"form"`
	Mode       string `json:"mode"`
	User       string `json:"user,omitempty" doc:"as the file has it"`
	Expiry     string `json:"expiry,omitempty" doc:"RFC 3339"`
	ExpiryText string `json:"expiry_text,omitempty" doc:"as the file writes it"`
	Outcome    string `json:"outcome" doc:"new, here or bad"`
}

// report tells what check found.
func (p *importPlan) report() *ImportReport {
	r := &ImportReport{Users: len(p.users), ByKind: map[string]int{}}
	for i := range p.rows {
		row := &p.rows[i]
		t := &row.token
		if p.all {
			r.Rows = append(r.Rows, ImportRow{Line: row.line, Serial: t.Serial, Form: t.Form.String(), Mode: t.Mode.String(),
				User: authn.Shown([]byte(row.user)), Expiry: instant(t.Expiry), ExpiryText: row.expiryText, Outcome: row.outcome})
		}
		for _, w := range row.warnings {
			r.note(p.all, row, w)
		}
		if row.note != "" {
			r.note(p.all, row, row.note)
		}
		switch row.outcome {
		case OutcomeHere:
			r.Here++
		case OutcomeNew:
			r.add(row, p.now)
		}
	}
	r.Expiry.Earliest, r.Expiry.Latest = instant(r.Expiry.first), instant(r.Expiry.last)
	r.Listed = p.faults()
	r.Faults = len(r.Listed)
	for _, f := range r.Listed {
		r.ByKind[f.Kind]++
	}
	if !p.all && r.Faults > maxPlaces {
		r.Listed = r.Listed[:maxPlaces:maxPlaces]
	}
	return r
}

// add counts a token that comes in.
func (r *ImportReport) add(row *planRow, now time.Time) {
	t := &row.token
	r.Tokens++
	if t.Form == token.Hardware {
		r.Hardware++
	} else {
		r.Software++
	}
	if t.Mode == token.HOTP {
		r.HOTP++
	} else {
		r.TOTP++
	}
	if row.owner != nil {
		r.Assigned++
	}
	e := &r.Expiry
	if t.Expiry == 0 {
		e.Never++
		return
	}
	if e.first == 0 || t.Expiry < e.first {
		e.first = t.Expiry
	}
	e.last = max(e.last, t.Expiry)
	if t.Expiry < now.Add(soonExpiring).Unix() {
		e.Soon++
	}
}

func (r *ImportReport) note(all bool, row *planRow, text string) {
	if r.Notes++; all || r.Notes <= maxPlaces {
		r.Remarks = append(r.Remarks, ImportFault{Line: row.line, Name: row.name, Problem: text})
	}
}

// places are the faults as a problem lists them.
func (r *ImportReport) places() []Place {
	var all []Place
	for i := range r.Listed[:min(len(r.Listed), maxPlaces)] {
		all = append(all, Place{r.Listed[i].Where(), r.Listed[i].Problem})
	}
	return all
}
