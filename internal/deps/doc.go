// Package deps holds the import rules of this module as data and checks them by reading the source files.
//
// [House] is the table: who may import whom, which third-party module lives where, and what never happens. [Check] walks
// a module's files, parses their import clauses whatever their build constraints say, and reports each breach with file
// and line. The package's test runs it over the module itself and opens every file in doing so, so that a change
// anywhere makes a cached test result stale.
//
// The table is policy. A build that breaks it is changed, not the table; changing the table is a decision of its own,
// made together with the text in CONTRIBUTING.md.
package deps
