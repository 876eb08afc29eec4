package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stentor/engine/control"
)

func (t *tool) infoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "info",
		Short: "Show the daemon: version, load, limits",
		Args:  between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				e, err := c.Info(ctx)
				if err != nil {
					return err
				}
				return show(t, []control.EngineInfo{*e}, t.engineTable)
			})
		},
	}
}

func (t *tool) roomsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rooms [ROOM]",
		Short: "Show all rooms, or one",
		Args:  between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				rooms, err := fetchRooms(ctx, c, args)
				if err != nil {
					return err
				}
				return show(t, rooms, t.roomsTable)
			})
		},
	}
}

func (t *tool) peersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "peers ROOM [PEER]",
		Short: "Show the peers of a room, or one with its statistics",
		Args:  between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				if len(args) == 2 {
					p, err := c.PeerGet(ctx, &control.PeerParams{Room: args[0], Peer: args[1]})
					if err != nil {
						return err
					}
					return show(t, []control.Peer{*p}, t.peerTable)
				}
				list, err := c.PeerList(ctx, &control.RoomParams{Room: args[0]})
				if err != nil {
					return err
				}
				slices.SortFunc(list.Peers, func(a, b control.Peer) int { return cmp.Compare(a.Peer, b.Peer) })
				return show(t, list.Peers, t.peersTable)
			})
		},
	}
}

// fetchRooms asks for the room that args name, or for all, and sorts them by name.
func fetchRooms(ctx context.Context, c *control.Client, args []string) ([]control.Room, error) {
	if len(args) == 1 {
		r, err := c.RoomGet(ctx, &control.RoomParams{Room: args[0]})
		if err != nil {
			return nil, err
		}
		return []control.Room{*r}, nil
	}
	list, err := c.RoomList(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list.Rooms, func(a, b control.Room) int { return cmp.Compare(a.Room, b.Room) })
	return list.Rooms, nil
}

// show prints objects as they are, or as the table that is made of them.
func show[T any](t *tool, objects []T, table func(*table, []T)) error {
	if !t.json {
		tab := newTable(t.out)
		table(tab, objects)
		return tab.flush()
	}
	enc := json.NewEncoder(t.out)
	for i := range objects {
		if err := enc.Encode(&objects[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *tool) engineTable(tab *table, engines []control.EngineInfo) {
	e := engines[0]
	state := "running"
	if e.Draining {
		state = "draining"
	}
	tab.row("node", e.Node)
	tab.row("version", e.Version)
	tab.row("protocol", fmt.Sprint(e.Protocol))
	tab.row("state", state)
	tab.row("uptime", age(time.Duration(e.UptimeS*float64(time.Second))))
	tab.row("media", strings.Join(e.Media, ", "))
	tab.row("rooms", outOf(e.Load.Rooms, e.Limits.Rooms))
	tab.row("peers", outOf(e.Load.Peers, e.Limits.Peers))
	tab.row("peers per room", fmt.Sprintf("at most %d", e.Limits.PeersPerRoom))
	tab.row("slots per room", fmt.Sprintf("at most %d", e.Limits.Slots))
	tab.row("speaking", fmt.Sprint(e.Load.Speaking))
	tab.row("overload", cmp.Or(e.Load.Overload, "none"))
	tab.row("control connections", fmt.Sprintf("at most %d", e.Limits.Connections))
	tab.row("control message", "at most "+size(uint64(max(e.Limits.MessageBytes, 0))))
}

func (t *tool) roomsTable(tab *table, rooms []control.Room) {
	tab.row("ROOM", "AGE", "PEERS", "SPEAKERS", "SLOTS", "RENDITION", "HEARD")
	for _, r := range rooms {
		tab.row(r.Room, age(t.now().Sub(r.OpenedAt)), outOf(r.Peers, r.MaxPeers), fmt.Sprint(r.Speakers), fmt.Sprint(r.Slots),
			r.DefaultRendition, heard(r.Heard))
	}
}

func (t *tool) peersTable(tab *table, peers []control.Peer) {
	tab.row("PEER", "STATE", "AGE", "ROLE", "MUTED", "SPEAKING", "RENDITION", "AUDIO ID")
	for _, p := range peers {
		tab.row(p.Peer, p.State, age(t.now().Sub(p.JoinedAt)), role(p), yes(p.Muted), yes(p.Speaking), p.Rendition,
			fmt.Sprint(p.AudioID))
	}
}

func (t *tool) peerTable(tab *table, peers []control.Peer) {
	p := peers[0]
	lifetime := t.now().Sub(p.JoinedAt)
	tab.row("room", p.Room)
	tab.row("peer", p.Peer)
	tab.row("state", p.State)
	tab.row("joined", age(lifetime)+" ago")
	tab.row("role", role(p))
	tab.row("muted", yes(p.Muted))
	tab.row("speaking", yes(p.Speaking))
	tab.row("rendition", p.Rendition)
	tab.row("audio id", fmt.Sprint(p.AudioID))
	if w := p.Path; w != nil {
		tab.row("remote", w.Remote)
		tab.row("srtp", w.SRTPProfile)
		tab.row("last seen", age(time.Duration(w.LastSeenS*float64(time.Second)))+" ago")
	}
	if u := p.Uplink; u != nil {
		tab.row("uplink", traffic(u.Packets, u.Bytes, lifetime))
		tab.row("  lost, dropped", fmt.Sprintf("%d, %d", u.Lost, u.Dropped))
		tab.row("  recovered", fmt.Sprint(u.Recovered))
		tab.row("  jitter", fmt.Sprintf("%.1f ms", u.JitterMs))
		tab.row("  level", fmt.Sprintf("%d dBov", u.LevelDBov))
	}
	if d := p.Downlink; d != nil {
		tab.row("downlink", traffic(d.Packets, d.Bytes, lifetime))
		tab.row("  lines", fmt.Sprint(d.Lines))
		tab.row("  lost here", fmt.Sprint(d.Lost))
		tab.row("  lost on the way", fmt.Sprintf("%.1f %%", d.LossPercent))
		tab.row("  jitter", fmt.Sprintf("%.1f ms", d.JitterMs))
		tab.row("  round trip", roundTrip(d.RTTMs))
	}
}
