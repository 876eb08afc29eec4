package main

import (
	"github.com/spf13/pflag"
)

// flagText is the value of one flag. It reads the text when it is parsed, so that a wrong one is a usage error, and keeps
// it until file and environment have been applied.
type flagText struct {
	setting *setting
	texts   []string
}

// String implements pflag.Value.
func (f *flagText) String() string {
	if len(f.texts) == 0 {
		return ""
	}
	return f.texts[len(f.texts)-1]
}

// Type implements pflag.Value; --help shows it.
func (f *flagText) Type() string { return kindOf(f.setting.at(&options{})) }

// Set implements pflag.Value. Given again, a list grows and anything else is replaced.
func (f *flagText) Set(text string) error {
	f.texts = append(f.texts, text)
	return assign(f.setting.at(&options{}), f.texts)
}

// defineFlags gives every setting its flag.
func defineFlags(flags *pflag.FlagSet) {
	defaults := defaultOptions()
	for i := range settings {
		s := &settings[i]
		f := flags.VarPF(&flagText{setting: s}, s.flag(), "", s.about)
		if s.absent != "" {
			f.Usage += " (default " + s.absent + ")"
			continue
		}
		f.DefValue = format(s.at(&defaults))
	}
}

// readFlags applies the flags that were given.
func (l *loaded) readFlags(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		if v, ok := f.Value.(*flagText); ok && err == nil {
			err = l.set(v.setting, "--"+f.Name, "--"+f.Name, v.texts)
		}
	})
	return err
}
