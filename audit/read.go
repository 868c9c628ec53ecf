package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds one line of a stream that is read back, in octets.
const maxLine = 1 << 20

// ReadStream gives f the records of one installation in what left the machine: JSON lines, or messages of a syslog server, whose
// header may be any. Lines without a record are passed over, and so are records of other installations. A last line that was
// cut short is none. f keeps nothing of the record.
func ReadStream(in io.Reader, instance string, f func(*Record)) error {
	lines := bufio.NewReaderSize(in, 1<<16)
	for n := 1; ; n++ {
		line, err := readLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", n, err)
		}
		readRecords(line, instance, f)
		if err != nil {
			return nil
		}
	}
}

func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("it has more than %d octets", maxLine)
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}

// begins is how every record begins. It stands in no header: a syslog message escapes its quotes.
var begins = []byte(`{"kind":`)

// readRecords finds the records of one line; messages that were kept as they came over TCP have no line ends between them.
func readRecords(line []byte, instance string, f func(*Record)) {
	for {
		at := bytes.Index(line, begins)
		if at < 0 {
			return
		}
		line = line[at:]
		in := json.NewDecoder(bytes.NewReader(line))
		var r Record
		if in.Decode(&r) != nil {
			line = line[len(begins):]
			continue
		}
		if r.Instance == instance {
			f(&r)
		}
		line = line[in.InputOffset():]
	}
}
