package authn

import (
	"bytes"
	"fmt"
	"log/slog"
)

// Secret is text that a person or a gateway keeps to itself: passwords, PINs, codes, shared secrets. It prints as
// "[secret]" through every verb, log handler and encoder; call [Secret.Reveal] where the octets are needed and nowhere
// else.
type Secret struct{ octets []byte }

// NewSecret takes the octets over; the caller no longer uses them.
func NewSecret(octets []byte) Secret { return Secret{octets} }

// Reveal gives the octets themselves.
func (s Secret) Reveal() []byte { return s.octets }

// Len is the number of octets.
func (s Secret) Len() int { return len(s.octets) }

// Format hides the octets from fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// LogValue hides them from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalText hides them from JSON, YAML and XML encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// UnmarshalText takes a secret from a configuration.
func (s *Secret) UnmarshalText(text []byte) error {
	s.octets = bytes.Clone(text)
	return nil
}
