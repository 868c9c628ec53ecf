// Package report is what one run of the load generator says: radload prints it as a line of JSON, compare reads it.
package report

// Result is one run. Rates and latencies are of the counted time, after the warm-up.
type Result struct {
	Mode    string  `json:"mode"` // closed or open loop
	Kind    string  `json:"kind"` // hotp or totp
	Auth    string  `json:"auth"`
	Layout  string  `json:"layout"`
	Users   int     `json:"users"`
	Window  int     `json:"window"`
	Rate    float64 `json:"offered_per_s"`
	Seconds float64 `json:"seconds"`

	Sent       int64   `json:"sent"`
	Accept     int64   `json:"accept"`
	Reject     int64   `json:"reject"`
	Challenge  int64   `json:"challenge"`
	Timeout    int64   `json:"timeout"` // given up after the last retransmission
	WarmupLost int64   `json:"warmup_timeout"`
	Unsent     int64   `json:"unsent"` // open loop: due before the end and never sent
	Retransmit int64   `json:"retransmits"`
	Bad        int64   `json:"bad_responses"` // authenticator wrong or missing, or no RADIUS at all
	Unsigned   int64   `json:"responses_without_message_authenticator"`
	Stray      int64   `json:"stray"` // answers to nothing that is still open
	Stalled    float64 `json:"waited_for_fresh_code_s"`
	Answered   int64   `json:"answered"` // warm-up and the tail after the end included

	PerSecond       float64 `json:"answers_per_s"`
	AcceptPerSecond float64 `json:"accepts_per_s"`

	// Latencies in microseconds; of an open loop from the moment a request was due.
	P50  float64 `json:"p50_us"`
	P90  float64 `json:"p90_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
	// AcceptP50 and AcceptP99 are of Access-Accepts alone.
	AcceptP50 float64 `json:"accept_p50_us"`
	AcceptP99 float64 `json:"accept_p99_us"`
	// LagP99 is how late requests of an open loop left, waiting for a free identifier included.
	LagP99 float64 `json:"send_lag_p99_us"`

	GeneratorCPU       float64 `json:"generator_cpu_s"`
	GeneratorPer1000   float64 `json:"generator_cpu_s_per_1000"`
	ServerCPU          float64 `json:"server_cpu_s,omitempty"`
	ServerPer1000      float64 `json:"server_cpu_s_per_1000,omitempty"`
	ServerResident     int64   `json:"server_rss_bytes,omitempty"`
	OtherCPU           float64 `json:"other_cpu_s"` // busy on this machine, neither generator nor server
	StolenByHypervisor float64 `json:"steal_s"`

	Slots []Slot `json:"slots,omitempty"`
	// BurstAcceptP99 is of Access-Accepts to requests that were due in the slots of the burst.
	BurstAcceptP99 float64 `json:"burst_accept_p99_us,omitempty"`
}

// Slot is a part of the counted time.
type Slot struct {
	// From is when it begins, in seconds of the counted time.
	From float64 `json:"from_s"`
	// Sent, Accepted and AcceptP99 are of the requests that were due in it (closed loop: sent), whenever they were answered.
	Sent      int64   `json:"sent"`
	Accepted  int64   `json:"accepted"`
	AcceptP99 float64 `json:"accept_p99_us"`
	// Came is how many Access-Accepts came in it, whenever they had been asked for.
	Came int64 `json:"accepts_that_came"`
}
