package main

import (
	"runtime/debug"

	"stentor/engine"
)

// version tells what was built: the engine's version, the commit where it is known, and the compiler.
func version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return engine.Version
	}
	v := engine.Version
	for _, s := range build.Settings {
		if s.Key == "vcs.revision" {
			v += "+" + s.Value[:min(12, len(s.Value))]
		}
	}
	return v + " " + build.GoVersion
}
