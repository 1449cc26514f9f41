#include "proxy/admin/statement_list.h"

#include <array>

namespace bulkhead::admin {

namespace {

constexpr auto kStatements = std::to_array<Statement>({
    {Verb::kShow, "SHOW",
     "SHOW [FULL] {SHARDS | BACKENDS | REPLICAS | TENANTS | SESSIONS | HOLDS | UNKNOWN | "
     "OPERATIONS | EVENTS | POOLS | VARIABLES | STATUS} [LIKE <pattern>] [WHERE <condition>]",
     "Lists them as they are now, in columns that fit a terminal: long texts are cut, with FULL "
     "they are not. SELECT has all columns of the table of the same name. LIKE is for the first "
     "column, WHERE for any column of the table.",
     "SHOW BACKENDS WHERE state <> 'up'", "SHOW BAKENDS", "did you mean BACKENDS?", false},
    {Verb::kSelect, "SELECT", "SELECT <query>",
     "SQL (SQLite's) over the tables shards, backends, replicas, tenants, sessions, holds, "
     "unknown, operations, events, pools, variables and status, as they are now. Reads only.",
     "SELECT name, state, held FROM backends WHERE state <> 'up' ORDER BY held DESC",
     "SELECT name FROM bakends", "did you mean backends?", false},
    {Verb::kDescribe, "DESCRIBE", "DESCRIBE <table>",
     "The columns of one of the tables, and what they mean.", "DESCRIBE sessions",
     "DESCRIBE session", "did you mean sessions?", false},
    {Verb::kExplainRoute, "EXPLAIN ROUTE", "EXPLAIN ROUTE TENANT <tenant> [FOR <statement>]",
     "Where a tenant's statement would go now, and why. Sends nothing.",
     "EXPLAIN ROUTE TENANT 'acme' FOR 'SELECT * FROM orders'", "EXPLAIN ROUTE SHARD s1",
     "expected TENANT", false},
    {Verb::kHelp, "HELP", "HELP [<topic>]",
     "Lists the statements, or tells of those that begin with these words.", "HELP DRAIN",
     "HELP DRIAN", "did you mean DRAIN BACKEND?", false},
    {Verb::kHoldShard, "HOLD SHARD", "HOLD SHARD <shard> [FOR <duration>]",
     "New statements of the shard wait from now on, within its limits; what runs goes on, and open "
     "transactions may end. Without FOR until RELEASE.",
     "HOLD SHARD s1 FOR '30s'", "HOLD SHRAD s1", "did you mean SHARD?"},
    {Verb::kHoldTenant, "HOLD TENANT", "HOLD TENANT <tenant> [FOR <duration>]",
     "The same for one tenant.", "HOLD TENANT acme FOR 30s", "HOLD TENANT acme FOR never",
     "'never' is no duration"},
    {Verb::kRejectShard, "REJECT SHARD", "REJECT SHARD <shard> [FOR <duration>]",
     "New statements of the shard are refused at once (9401, not executed).",
     "REJECT SHARD s1 FOR '5m'", "REJECT SHARD", "expected <shard>"},
    {Verb::kRejectTenant, "REJECT TENANT", "REJECT TENANT <tenant> [FOR <duration>]",
     "The same for one tenant.", "REJECT TENANT acme", "REJECT TENANT acme globex",
     "expected FOR or the end"},
    {Verb::kReleaseShard, "RELEASE SHARD", "RELEASE SHARD <shard> [FORCE]",
     "Takes HOLD or REJECT back. FORCE also lets statements go to a shard that is down.",
     "RELEASE SHARD s1", "RELEASE SHARD s1 FORC", "did you mean FORCE?"},
    {Verb::kReleaseTenant, "RELEASE TENANT", "RELEASE TENANT <tenant>",
     "Takes HOLD or REJECT of the tenant back.", "RELEASE TENANT acme", "RELEASE TENANT acme FORCE",
     "expected the end"},
    {Verb::kMarkBackend, "MARK BACKEND", "MARK BACKEND <backend> {DOWN | UP | AUTO}",
     "Overrides what the probes say, until AUTO.", "MARK BACKEND db1 DOWN", "MARK BACKEND db1 DWON",
     "did you mean DOWN?"},
    {Verb::kDrainBackend, "DRAIN BACKEND", "DRAIN BACKEND <backend> [TIMEOUT <duration>]",
     "Starts no new work there and waits until what runs has ended; at TIMEOUT (60s) the rest is "
     "listed and the backend is released again. KILL QUERY or Ctrl-C puts everything back.",
     "DRAIN BACKEND db1 TIMEOUT '60s'", "DRAIN db1", "expected BACKEND"},
    {Verb::kDisableBackend, "DISABLE BACKEND", "DISABLE BACKEND <backend>",
     "No statement goes there until ENABLE.", "DISABLE BACKEND db1", "DISABLE SHARD s1",
     "expected BACKEND"},
    {Verb::kEnableBackend, "ENABLE BACKEND", "ENABLE BACKEND <backend>", "Ends DRAIN and DISABLE.",
     "ENABLE BACKEND db1", "ENABEL BACKEND db1", "did you mean ENABLE?"},
    {Verb::kSwitchover, "SWITCHOVER",
     "SWITCHOVER SHARD <shard> TO <backend> [TIMEOUT <duration>] [DRY RUN]",
     "Makes another backend the shard's primary without losing anything; up to the promotion any "
     "failure puts everything back. DRY RUN only checks.",
     "SWITCHOVER SHARD s1 TO db2 TIMEOUT '10s' DRY RUN", "SWITCHOVER SHARD s1 db2", "expected TO"},
    {Verb::kFailover, "FAILOVER",
     "FAILOVER SHARD <shard> TO <backend> [DRY RUN] [ACCEPT DATA LOSS] [ACCEPT SPLIT BRAIN]",
     "Makes another backend the primary of a shard whose own does not answer. Refuses what could "
     "lose data or split the brain, and lists it, unless that is accepted by name.",
     "FAILOVER SHARD s1 TO db2 ACCEPT DATA LOSS", "FAILOVER SHARD s1 TO db2 ACCEPT LOSS",
     "expected DATA or SPLIT"},
    {Verb::kCancelOperation, "CANCEL OPERATION", "CANCEL OPERATION <number>",
     "Gives up an operation of SHOW OPERATIONS and puts everything back, where that is possible.",
     "CANCEL OPERATION 7", "CANCEL OPERATION last", "'last' is no whole number"},
    {Verb::kCreateBackend, "CREATE BACKEND",
     "CREATE BACKEND <name> ADDRESS <address> [FAMILY {AUTO | MYSQL | MARIADB}] [TLS {DISABLED | "
     "PREFERRED | REQUIRED | VERIFY}] [MAX_CONNECTIONS <number>]",
     "Adds a server. Nothing is sent there before a shard names it.",
     "CREATE BACKEND db3 ADDRESS '10.0.0.3:3306'", "CREATE BACKEND db3 ADDRESS '10.0.0.3'",
     "is no address"},
    {Verb::kAlterBackend, "ALTER BACKEND",
     "ALTER BACKEND <backend> {ADDRESS <address> | FAMILY {AUTO | MYSQL | MARIADB} | TLS {DISABLED "
     "| PREFERRED | REQUIRED | VERIFY} | MAX_CONNECTIONS <number>}...",
     "Changes what is given. Another address is another server: its connections are made anew. "
     "MAX_CONNECTIONS 0 is the process's default again.",
     "ALTER BACKEND db3 MAX_CONNECTIONS 100", "ALTER BACKEND db3",
     "expected ADDRESS, FAMILY, TLS or MAX_CONNECTIONS"},
    {Verb::kDropBackend, "DROP BACKEND", "DROP BACKEND <backend>",
     "Takes away a server that no shard names.", "DROP BACKEND db3", "DROP BACKEND",
     "expected <backend>"},
    {Verb::kCreateShard, "CREATE SHARD",
     "CREATE SHARD <name> PRIMARY <backend> [REPLICAS <backends>] [POLICY {HOLD | REJECT | "
     "REPLICA}] [MAX_WAIT <duration>] [OUTAGE_LIMIT <duration>] [MAX_STATEMENTS <number>] "
     "[MAX_BYTES <size>] [FAILOVER {MANUAL | AUTOMATIC | AUTOMATIC_WITH_LOSS}]",
     "Adds a slice of tenants, with its servers and what becomes of statements while they are "
     "away (defaults: the configuration's `hold`).",
     "CREATE SHARD s3 PRIMARY db3 REPLICAS (db4, db5) POLICY HOLD MAX_WAIT '30s'",
     "CREATE SHARD s3 REPLICAS (db4)", "expected PRIMARY"},
    {Verb::kAlterShard, "ALTER SHARD",
     "ALTER SHARD <shard> {PRIMARY <backend> | REPLICAS {NONE | <backends>} | POLICY {HOLD | "
     "REJECT "
     "| REPLICA} | MAX_WAIT <duration> | OUTAGE_LIMIT <duration> | MAX_STATEMENTS <number> | "
     "MAX_BYTES <size> | HOLD DEFAULT | FAILOVER {MANUAL | AUTOMATIC | AUTOMATIC_WITH_LOSS}}...",
     "Changes what is given. PRIMARY only says where the router sends statements: use it where "
     "something else has changed the servers' roles already, SWITCHOVER otherwise. FAILOVER: who "
     "fails the shard over when its primary is down.",
     "ALTER SHARD s3 PRIMARY db4", "ALTER SHARD s3 MAX_BYTES 1MB", "'1MB' is no size"},
    {Verb::kDropShard, "DROP SHARD", "DROP SHARD <shard>",
     "Takes away a shard that has no tenants and slots any more.", "DROP SHARD s3",
     "DROP SHARD s3 s4", "expected the end"},
    {Verb::kCreateTenant, "CREATE TENANT",
     "CREATE TENANT <tenant> SHARD <shard> [POOLING {TRANSACTION | SESSION}] [POLICY {HOLD | "
     "REJECT "
     "| REPLICA}] [DATABASE <name>]",
     "Adds a tenant to the directory. DATABASE: the schema on the server, where it is not the one "
     "that the pattern makes.",
     "CREATE TENANT initech SHARD s3", "CREATE TENANT 'a b' SHARD s3", "white space"},
    {Verb::kAlterTenant, "ALTER TENANT",
     "ALTER TENANT <tenant> {POOLING {TRANSACTION | SESSION} | POLICY {HOLD | REJECT | REPLICA} | "
     "DATABASE <name>}...",
     "Changes what is given. For its shard see ASSIGN TENANT.",
     "ALTER TENANT initech POLICY REJECT", "ALTER TENANT initech SHARD s1",
     "expected POOLING, POLICY or DATABASE"},
    {Verb::kDropTenant, "DROP TENANT", "DROP TENANT <tenant>",
     "Takes a tenant out of the directory; its data stays where it is.", "DROP TENANT initech",
     "DROP TENAT initech", "did you mean TENANT?"},
    {Verb::kAssignTenant, "ASSIGN TENANT",
     "ASSIGN TENANT <tenant> TO SHARD <shard> [TIMEOUT <duration>]",
     "Holds the tenant, waits (10s) for its running work, then sends it to the other shard. What "
     "HOLD or REJECT has stopped before stays so until RELEASE. Its data must be there already: "
     "copying it is not the router's work (docs/OPERATIONS.md has the steps).",
     "ASSIGN TENANT initech TO SHARD s2", "ASSIGN TENANT initech SHARD s2", "expected TO"},
    {Verb::kAssignSlots, "ASSIGN SLOTS", "ASSIGN SLOTS <slots> TO SHARD <shard>",
     "Gives slots (0..4095) of the tenants without an entry of their own to a shard.",
     "ASSIGN SLOTS 0..1023 TO SHARD s1", "ASSIGN SLOTS 0..5000 TO SHARD s1",
     "'0..5000' is no range of slots"},
    {Verb::kKill, "KILL", "KILL [QUERY] [{SESSION | CONNECTION}] <number>",
     "KILL SESSION closes a client's connection (its number is in SHOW SESSIONS), KILL QUERY "
     "SESSION ends what it runs or waits for. Without SESSION it means another connection of this "
     "admin listener, whose waiting statement is given up and put back: clients send that at "
     "Ctrl-C.",
     "KILL QUERY SESSION 1073741888", "KILL SESION 5", "did you mean SESSION?"},
    {Verb::kLimitTenant, "LIMIT TENANT",
     "LIMIT TENANT <tenant> {SESSIONS <number> | RUNNING <number> | RATE <number> | BURST <number> "
     "| DEFAULT}...",
     "How many sessions, running statements and statements a second (BURST at once) a tenant may "
     "have; what is not given is not limited. DEFAULT: the configuration's again.",
     "LIMIT TENANT acme SESSIONS 50 RUNNING 10 RATE 200 BURST 400", "LIMIT TENANT acme RATE fast",
     "'fast' is no whole number"},
    {Verb::kSet, "SET", "SET <variable> = <value>",
     "Changes a variable of SHOW VARIABLES that may change while the router runs. Variables that "
     "MySQL clients set for themselves (NAMES, autocommit, sql_mode, ...) are accepted and mean "
     "nothing here.",
     "SET log.level = 'debug'", "SET log.level", "expected ="},
    {Verb::kReloadConfig, "RELOAD CONFIG", "RELOAD CONFIG",
     "Reads the configuration file again, as SIGHUP does: all of it or, where a line is wrong, "
     "nothing.",
     "RELOAD CONFIG", "RELOAD CONFIGURE", "did you mean CONFIG?"},
    {Verb::kShutdown, "SHUTDOWN", "SHUTDOWN", "Ends the router as SIGTERM does: what runs may end.",
     "SHUTDOWN", "SHUTDOWN NOW", "expected the end"},
    {Verb::kDrillHang, "DRILL HANG", "DRILL HANG SHARD <shard> FOR <duration> [FORCE]",
     "The router behaves as if the shard's primary hung: new work is held, then the hold policy "
     "applies. The server and what runs there are left alone. Shows the incident report in the "
     "end, which the status page keeps. "
     "FORCE: also where the shard is marked as production.",
     "DRILL HANG SHARD s1 FOR '30s'", "DRILL HANG SHARD s1", "expected FOR"},
});

}  // namespace

std::span<const Statement> StatementList() { return kStatements; }

const Statement& StatementOf(Verb verb) {
  for (const Statement& statement : kStatements) {
    if (statement.verb == verb) return statement;
  }
  return kStatements[0];
}

std::string StatementTable() {
  std::string table;
  for (const Statement& statement : kStatements) {
    table += "    " + std::string(statement.syntax) + "\n\n";
    table +=
        std::string(statement.help) + (statement.changes ? "" : " Allowed to read_only users.");
    table += " Example: `" + std::string(statement.example) + "`\n\n";
  }
  return table;
}

}  // namespace bulkhead::admin
