package mix

import (
	"bytes"

	"stentor/forward/opus"
)

// piecesMax bounds a queue: 2048 pieces are 41 s of 20 ms or 5 s of 2.5 ms, where the desk lags by 0.2 s. At 40 octets
// each that is 80 KB.
const piecesMax = 2048

// piece is some of a source's audio.
type piece struct {
	at      int64
	samples int
	payload []byte // Borrowed for good: immutable.
}

// dtx tells whether there is nothing to decode, only something to conceal: one frame or more of no octets, or a single
// one, which decoders take as none.
func (p *piece) dtx() bool { return opus.IsDTX(p.payload) }

// zeros tells whether the piece is the constant silent packet, what muted and silent people come as.
func (p *piece) zeros() bool { return bytes.Equal(p.payload, opus.Quiet) }

func (p *piece) silent() bool { return p.dtx() || p.zeros() }

func (p *piece) end() int64 { return p.at + int64(p.samples) }

// queue holds the pieces of a source in the order in which they came.
type queue struct {
	pieces []piece
	first  int
}

func (q *queue) len() int { return len(q.pieces) - q.first }

// push appends a piece, or is false when the queue is full.
func (q *queue) push(p piece) bool {
	if q.len() >= piecesMax {
		return false
	}
	if len(q.pieces) == cap(q.pieces) && q.first > 0 {
		n := copy(q.pieces, q.pieces[q.first:])
		clear(q.pieces[n:])
		q.pieces, q.first = q.pieces[:n], 0
	}
	q.pieces = append(q.pieces, p)
	return true
}

// at is piece i from the front, nil where there is none. It is the queue's and lives until the next push.
func (q *queue) at(i int) *piece {
	if i >= q.len() {
		return nil
	}
	return &q.pieces[q.first+i]
}

func (q *queue) pop() {
	q.pieces[q.first] = piece{}
	if q.first++; q.first == len(q.pieces) {
		q.pieces, q.first = q.pieces[:0], 0
	}
}
