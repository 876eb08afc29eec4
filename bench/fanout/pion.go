//go:build linux

package fanout

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strconv"
)

// joinSFU is an SFU of bench/peers: a process that takes offers by HTTP.
type joinSFU struct {
	process
	http string
}

// pion is the plain SFU of bench/peers/pionsfu.
type pion struct {
	joinSFU
	binary string
}

func newPion(ctx context.Context, dir string) (*pion, error) {
	p := &pion{binary: filepath.Join(dir, "pionsfu")}
	return p, build(ctx, p.binary, filepath.Join("bench", "peers"), "./pionsfu")
}

func (p *pion) Name() string { return "pion" }

func (p *pion) Start(ctx context.Context, load Load) (err error) {
	if p.http, err = freePort("tcp"); err != nil {
		return err
	}
	if err := p.start(p.binary, "-http", p.http, "-tracks", strconv.Itoa(load.slots())); err != nil {
		return err
	}
	return p.until(ctx, func(ctx context.Context) error {
		_, err := p.call(ctx, http.MethodGet, "/healthz", nil)
		return err
	})
}

// Join posts the offer; a speaker's audio goes to all listeners that have joined or will.
func (p *joinSFU) Join(ctx context.Context, _ string, speaks bool, offer string) (string, error) {
	body, err := json.Marshal(map[string]any{"speaks": speaks, "sdp": offer})
	if err != nil {
		return "", err
	}
	answer, err := p.call(ctx, http.MethodPost, "/join", body)
	return string(answer), err
}

func (p *joinSFU) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.http+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return answerOf(req, http.StatusOK)
}

// Metrics are none.
func (p *joinSFU) Metrics(context.Context) (map[string]float64, error) { return nil, nil }
