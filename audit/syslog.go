package audit

import (
	"fmt"
	"strconv"
)

// Severities of RFC 5424 §6.2.1 that events have.
const (
	severityWarning = 4
	severityNotice  = 5
	severityInfo    = 6
)

const facilityAuthpriv = 10 // security and authorization messages

// appendSyslog adds a record as an RFC 5424 message: PRI, version, time, host, program, process, kind; one structured element
// with the number and result for servers that sort by fields, then the whole record as JSON. The enterprise number is the
// one for documentation (RFC 5612), because the project has none.
func appendSyslog(b []byte, r *Record, host string, pid int) []byte {
	severity := severityInfo
	switch {
	case len(r.Notices) > 0:
		severity = severityWarning
	case r.Kind == "act" || r.Verdict == "reject":
		severity = severityNotice
	}
	b = fmt.Appendf(b, "<%d>1 %s %s sekisho %d %s ", facilityAuthpriv*8+severity, r.At.Format("2006-01-02T15:04:05.000000Z07:00"), header(host, 255), pid, r.Kind)
	b = append(b, `[event@32473 seq="`...)
	b = strconv.AppendUint(b, r.Seq, 10)
	b = append(b, '"')
	for _, p := range [...]struct{ name, value string }{{"result", r.Verdict}, {"reason", r.Reason}, {"act", r.Act}} {
		if p.value != "" {
			b = append(b, ' ')
			b = append(b, p.name...)
			b = append(b, `="`...)
			b = appendParam(b, p.value)
			b = append(b, '"')
		}
	}
	b = append(b, "] "...)
	return append(b, r.Line()...)
}

// appendParam escapes a value of structured data (RFC 5424 §6.3.3).
func appendParam(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == ']':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, '?')
		default:
			b = append(b, c)
		}
	}
	return b
}

// header keeps a header field to its printable ASCII (RFC 5424 §6): "-" where nothing is left.
func header(s string, most int) string {
	b := make([]byte, 0, min(len(s), most))
	for i := 0; i < len(s) && len(b) < most; i++ {
		if s[i] > ' ' && s[i] < 0x7f {
			b = append(b, s[i])
		}
	}
	if len(b) == 0 {
		return "-"
	}
	return string(b)
}

// frame puts the length in front (RFC 6587 §3.4.1, RFC 5425 §4.3): a line end inside cannot end a message.
func frame(b, message []byte) []byte {
	b = strconv.AppendInt(b, int64(len(message)), 10)
	b = append(b, ' ')
	return append(b, message...)
}

// datagram cuts a message to what a UDP datagram carries everywhere (RFC 5426 §3.2 wants 2048 taken).
func datagram(message []byte) []byte { return message[:min(len(message), 2048)] }
