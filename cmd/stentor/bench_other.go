//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func (t *tool) benchCommand() *cobra.Command {
	return &cobra.Command{
		Use: "bench", Short: "Measure what the daemon costs (Linux only)",
		RunE: func(*cobra.Command, []string) error {
			return errors.New("bench reads Linux's accounts; there are none here")
		},
	}
}
