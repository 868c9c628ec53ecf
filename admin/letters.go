package admin

import (
	_ "embed"
	"fmt"
	"html/template"
	"strings"
	"time"

	"rsc.io/qr"
)

//go:embed sheets/letter.html
var letterHTML string

var letterSheet = template.Must(template.New("letter").Parse(letterHTML))

// sheets draws letters to print, a page each: user, link as picture and text, and until when it is good. A link is kept
// nowhere, so a sheet can be drawn only where the link was made.
func sheets(letters []Issued, zone *time.Location) (string, error) {
	type sheet struct {
		User, URL, Until string
		Left             int
		Picture          template.HTML
	}
	var all []sheet
	for _, l := range letters {
		picture, err := drawSVG(l.URL)
		if err != nil {
			return "", err
		}
		until := l.Activation.Until
		if t, err := time.Parse(time.RFC3339, until); err == nil {
			until = t.In(zone).Format("2006-01-02 15:04 MST")
		}
		all = append(all, sheet{l.Activation.User, l.URL, until, l.Activation.Devices - l.Activation.Used, picture})
	}
	var b strings.Builder
	if err := letterSheet.Execute(&b, all); err != nil {
		return "", fmt.Errorf("drawing letters: %w", err)
	}
	return b.String(), nil
}

// drawSVG is a QR code, black on white with its quiet zone.
func drawSVG(text string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("drawing a picture: %w", err)
	}
	const quiet = 4 // modules, ISO/IEC 18004
	side := code.Size + 2*quiet
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="QR"><path fill="#fff" d="M0 0h%dv%dH0z"/><path fill="#000" d="`, side, side, side, side)
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()), nil //nolint:gosec // numbers alone
}
