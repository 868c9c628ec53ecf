package desk

import "sekisho/life"

// The states of activation records, by the stage that was saved. Lapsed is never saved: it follows from Due.
const (
	linkOpen uint8 = iota + 1
	linkStarted
	linkUsedUp
	linkRevoked
)

// LinkState is the record state of a stage, for queries; zero for stages that no record has. Links that are open or started
// and whose Due has passed have lapsed.
func LinkState(s life.Stage) uint8 {
	switch s {
	case life.Open:
		return linkOpen
	case life.Started:
		return linkStarted
	case life.UsedUp:
		return linkUsedUp
	case life.Revoked:
		return linkRevoked
	}
	return 0
}

// The states of request records.
const (
	requestOpen uint8 = iota + 1
	requestApproved
	requestRefused
	requestWithdrawn
	requestLapsed
)

// RequestState is the record state of a stage, for queries; zero for stages that no request has.
func RequestState(s life.Stage) uint8 {
	switch s {
	case life.Open:
		return requestOpen
	case life.Approved:
		return requestApproved
	case life.Refused:
		return requestRefused
	case life.Withdrawn:
		return requestWithdrawn
	case life.Lapsed:
		return requestLapsed
	}
	return 0
}
