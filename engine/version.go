package engine

import "runtime/debug"

// Version of the daemon, as engine.info tells it.
const Version = "0.1.0-dev"

// Build tells what was built, for --version: the version, the commit where it is known, and the compiler.
func Build() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return Version
	}
	v := Version
	for _, s := range build.Settings {
		if s.Key == "vcs.revision" {
			v += "+" + s.Value[:min(12, len(s.Value))]
		}
	}
	return v + " " + build.GoVersion
}
