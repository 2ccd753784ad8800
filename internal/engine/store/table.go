package store

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// table moves rows of type T, whose db tags name the columns, to and from a
// table that is keyed by market and some of them.
type table[T any] struct {
	fields []field
	find   string // of the market and values of the key's first column; fills a T
	lock   string // find, locking the rows in the order of the values
	all    string // of the market
	upsert string // of the market and one text array per column
}

// field is one column. Values travel as text, which every way of executing a
// statement encodes alike, and are cast in the statement.
type field struct {
	index []int
	name  string
	cast  string
}

func newTable[T any](name string, key ...string) table[T] {
	var t table[T]
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		if column := f.Tag.Get("db"); column != "" && column != "-" {
			t.fields = append(t.fields, field{f.Index, column, cast(f.Type)})
		}
	}
	var names, params, values, sets, reads []string
	for i, f := range t.fields {
		names = append(names, f.name)
		params = append(params, fmt.Sprintf("$%d::text[]", i+2))
		value, read := "u."+f.name+f.cast, "t."+f.name
		switch f.cast {
		case "::timestamptz": // no time is the zero time
			value = "nullif(u." + f.name + ", '')::timestamptz"
			read = "coalesce(t." + f.name + ", '0001-01-01 00:00:00+00') as " + f.name
		case "::boolean": // also a third state, where the column has it
			value = "nullif(u." + f.name + ", '')::boolean"
		}
		values = append(values, value)
		reads = append(reads, read)
		if !slices.Contains(key, f.name) {
			sets = append(sets, f.name+" = excluded."+f.name)
		}
	}
	list := strings.Join(names, ", ")
	keys := strings.Join(key, ", ")
	t.all = "select " + strings.Join(reads, ", ") + " from leadbus." + name + " t where t.market = $1"
	// One look-up in the index for each value, whatever the planner believes
	// of a table it has no statistics of.
	t.find = "select t.* from unnest($2::text[]) as k (value) cross join lateral (" + t.all + " and t." + key[0] + " = k.value offset 0%s) as t"
	t.find, t.lock = fmt.Sprintf(t.find, ""), fmt.Sprintf(t.find, " for update")
	t.all += " order by " + keys
	t.upsert = "insert into leadbus." + name + " (market, " + list + ") select $1::text, " + strings.Join(values, ", ") +
		" from unnest(" + strings.Join(params, ", ") + ") as u (" + list + ")" +
		" on conflict (market, " + keys + ") do update set " + strings.Join(sets, ", ")
	return t
}

// casts are those of the types that are no JSON.
var casts = map[reflect.Type]string{
	reflect.TypeFor[string]():    "",
	reflect.TypeFor[bool]():      "::boolean",
	reflect.TypeFor[*bool]():     "::boolean",
	reflect.TypeFor[uint64]():    "::bigint",
	reflect.TypeFor[int]():       "::bigint",
	reflect.TypeFor[float64]():   "::float8",
	reflect.TypeFor[time.Time](): "::timestamptz",
	reflect.TypeFor[[]string]():  "::text[]",
}

func cast(t reflect.Type) string {
	if c, ok := casts[t]; ok {
		return c
	}
	return "::jsonb"
}

// write queues the upsert of rows; none of them may have the key of another.
func (t table[T]) write(b *pgx.Batch, market string, rows []*T) error {
	if len(rows) == 0 {
		return nil
	}
	args := make([]any, 1, 1+len(t.fields))
	args[0] = market
	for _, f := range t.fields {
		values := make([]string, len(rows))
		for i, row := range rows {
			v, err := text(reflect.ValueOf(row).Elem().FieldByIndex(f.index).Interface())
			if err != nil {
				return fmt.Errorf("column %s: %w", f.name, err)
			}
			values[i] = v
		}
		args = append(args, values)
	}
	b.Queue(t.upsert, args...)
	return nil
}

// read queues the reading of the rows with the keys by t.find or t.lock.
func (t table[T]) read(b *pgx.Batch, statement, market string, keys []string, take func(T)) {
	b.Queue(statement, market, keys).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowToStructByName[T])
		for _, row := range found {
			take(row)
		}
		return err
	})
}

// text is a value as Postgres reads it. No text column takes a NUL or broken
// UTF-8, and no row is to be lost for one: they are left out.
func text(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return clean(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case *bool:
		if v == nil {
			return "", nil
		}
		return strconv.FormatBool(*v), nil
	case int:
		return strconv.Itoa(v), nil
	case uint64:
		return strconv.FormatUint(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case time.Time:
		if v.Year() < 1 || v.IsZero() { // Postgres has no year 0
			return "", nil
		}
		return v.UTC().Format("2006-01-02 15:04:05.999999Z07:00"), nil
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean(s)) + `"`
		}
		return "{" + strings.Join(quoted, ",") + "}", nil
	case map[string]string:
		cleaned := make(map[string]string, len(v))
		for k, s := range v {
			cleaned[clean(k)] = clean(s)
		}
		b, err := json.Marshal(cleaned)
		return string(b), err
	default:
		b, err := json.Marshal(v)
		return string(b), err
	}
}

func clean(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
