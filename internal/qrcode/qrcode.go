// Package qrcode draws QR codes for pages.
package qrcode

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// Picture is a QR code for an SVG: black squares on white with the quiet zone around them, whatever the page's colours are.
type Picture struct {
	Size int    // of a side, in modules
	Path string // of the black ones; runs in a row are one stroke
}

// Draw gives the code of a text.
func Draw(text string) (Picture, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return Picture{}, fmt.Errorf("drawing the QR code: %w", err)
	}
	const quiet = 4 // modules, ISO/IEC 18004
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
	return Picture{code.Size + 2*quiet, path.String()}, nil
}
