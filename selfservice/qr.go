package selfservice

import (
	"fmt"
	"html/template"
	"strings"

	"rsc.io/qr"
)

// drawQR gives a QR code as SVG, black on white with its quiet zone whatever the page's colours are. Runs of black modules
// in a row become one stroke. alt is what those who do not see it are told.
func drawQR(text, alt string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("drawing the QR code: %w", err)
	}
	const quiet = 4 // modules, ISO/IEC 18004
	size := code.Size + 2*quiet
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			}
		}
	}
	// No text of a person is in it but alt, which is escaped.
	return template.HTML(fmt.Sprintf(`<svg class="qr" role="img" aria-label="%[1]s" viewBox="0 0 %[2]d %[2]d" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%[2]dv%[2]dH0z"/><path fill="#000" d="%[3]s"/></svg>`, template.HTMLEscapeString(alt), size, path.String())), nil
}
