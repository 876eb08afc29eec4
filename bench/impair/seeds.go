package impair

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Series is a story from several seeds.
type Series struct {
	Name  string
	Seeds []*Comparison
}

// Spread is what became of something that must hold, over the seeds of a series.
type Spread struct {
	Must      string
	Unit      string
	Off, On   float64 // means
	Worst     float64 // On of the seed that is nearest to the bound, or farthest beyond it
	WorstSeed uint64
	Held      int  // seeds in which it did
	InTheMean bool // the mean holds, against the mean with the controller off
}

// InSeries sorts comparisons by their stories, which come in the order in which they came first.
func InSeries(list []*Comparison) (out []*Series) {
	by := map[string]*Series{}
	for _, c := range list {
		s := by[c.Name]
		if s == nil {
			s = &Series{Name: c.Name}
			by[c.Name] = s
			out = append(out, s)
		}
		s.Seeds = append(s.Seeds, c)
	}
	return out
}

// Spreads are those of a story's musts.
func (s *Series) Spreads() (out []Spread) {
	for i, m := range s.Seeds[0].Scenario.Must {
		x, least := Spread{Must: m.String(), Unit: m.Figure.Unit()}, 0.0
		for j, c := range s.Seeds {
			v := c.Verdicts[i]
			x.Off, x.On = x.Off+v.Off/float64(len(s.Seeds)), x.On+v.On/float64(len(s.Seeds))
			if v.Held {
				x.Held++
			}
			if room := m.Room(v.On, v.Off); j == 0 || room < least {
				x.Worst, x.WorstSeed, least = v.On, c.Seed, room
			}
		}
		x.InTheMean = m.Holds(x.On, x.Off)
		out = append(out, x)
	}
	return out
}

// held tells whether all must hold in each seed, and in the mean.
func (s *Series) held() (each, mean bool) {
	each, mean = true, true
	for _, x := range s.Spreads() {
		each, mean = each && x.Held == len(s.Seeds), mean && x.InTheMean
	}
	return each, mean
}

// WriteSeeds writes a line for each thing that must hold, over all seeds.
func WriteSeeds(w io.Writer, list []*Comparison) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SCENARIO\tMUST\tOFF\tON\tWORST\tOF SEED\tHELD IN\tIN THE MEAN")
	series := InSeries(list)
	for _, s := range series {
		name := s.Name
		for _, x := range s.Spreads() {
			fmt.Fprintf(tw, "%s\t%s\n", name, strings.Join(x.Cells(len(s.Seeds)), "\t"))
			name = ""
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", summaryOfSeeds(series))
	return err
}

// Cells are for a line of a table: must, the means off and on, the worst, whose it is, in how many of the seeds it held, and whether in the mean.
func (x *Spread) Cells(seeds int) []string {
	mean := "yes"
	if !x.InTheMean {
		mean = "NO"
	}
	return []string{
		x.Must, Format(x.Off, x.Unit), Format(x.On, x.Unit), Format(x.Worst, x.Unit), fmt.Sprint(x.WorstSeed),
		fmt.Sprintf("%d of %d", x.Held, seeds), mean,
	}
}

// summaryOfSeeds says in a sentence how it went.
func summaryOfSeeds(series []*Series) string {
	var failed []string
	for _, s := range series {
		switch each, mean := s.held(); {
		case !mean:
			failed = append(failed, s.Name+" (nor in the mean)")
		case !each:
			failed = append(failed, s.Name+" (but in the mean)")
		}
	}
	if len(series) == 0 {
		return "nothing was played"
	}
	seeds := series[0].Seeds
	head := fmt.Sprintf("seeds %d to %d: ", seeds[0].Seed, seeds[len(seeds)-1].Seed)
	if len(failed) == 0 {
		return head + fmt.Sprintf("all of %d scenarios held in each", len(series))
	}
	return head + fmt.Sprintf("%d of %d scenarios did not hold in each: %s", len(failed), len(series), strings.Join(failed, ", "))
}
