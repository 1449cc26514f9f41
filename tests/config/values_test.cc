#include "proxy/config/values.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <type_traits>

#include "proxy/config/load.h"

namespace bulkhead::config {
namespace {

using namespace std::chrono_literals;

TEST(ParseDuration, UnitsAndLimits) {
  EXPECT_EQ(ParseDuration("0"), 0s);
  EXPECT_EQ(ParseDuration("5ns"), 5ns);
  EXPECT_EQ(ParseDuration("5us"), 5us);
  EXPECT_EQ(ParseDuration("5ms"), 5ms);
  EXPECT_EQ(ParseDuration("10s"), 10s);
  EXPECT_EQ(ParseDuration("5m"), 5min);
  EXPECT_EQ(ParseDuration("8h"), 8h);
  EXPECT_EQ(ParseDuration("3650d"), 24h * 3650);
  for (const char* bad : {"", "s", "10", "1.5s", "-1s", "+1s", " 1s", "1 s", "1S", "1s ", "3651d",
                          "99999999999999999999s", "18446744073709551615s", "0x1s"}) {
    EXPECT_FALSE(ParseDuration(bad)) << bad;
  }
}

TEST(ParseSize, UnitsAndLimits) {
  EXPECT_EQ(ParseSize("0"), 0u);
  EXPECT_EQ(ParseSize("7B"), 7u);
  EXPECT_EQ(ParseSize("64KiB"), 65536u);
  EXPECT_EQ(ParseSize("1MiB"), 1u << 20);
  EXPECT_EQ(ParseSize("2GiB"), 2ull << 30);
  EXPECT_EQ(ParseSize("1TiB"), 1ull << 40);
  for (const char* bad : {"", "B", "1", "1KB", "1kib", "-1B", "1.5MiB", "99999999TiB"}) {
    EXPECT_FALSE(ParseSize(bad)) << bad;
  }
}

TEST(IsNetwork, BothFamilies) {
  for (const char* good : {"10.0.0.0/8", "1.2.3.4", "0.0.0.0/0", "::/0", "fd00::/8", "::1"}) {
    EXPECT_TRUE(IsNetwork(good)) << good;
  }
  for (const char* bad : {"", "/8", "10.0.0/8", "10.0.0.0/33", "10.0.0.0/", "::/129", "h/8",
                          "10.0.0.0/8/8", "10.0.0.0/-1"}) {
    EXPECT_FALSE(IsNetwork(bad)) << bad;
  }
}

TEST(ParseVerifier, ThreeKinds) {
  const std::string native = "*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29";
  EXPECT_EQ(ParseVerifier(native)->kind, VerifierKind::kNative);
  EXPECT_EQ(ParseVerifier(native)->text, native);
  const std::string sha2 = "$A$005$" + std::string(20, 's') + std::string(43, 'd');
  EXPECT_EQ(ParseVerifier(sha2)->kind, VerifierKind::kSha2);
  std::string hex = "0x";
  for (const char c : sha2) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    hex += kDigits[c >> 4];
    hex += kDigits[c & 15];
  }
  EXPECT_EQ(ParseVerifier(hex)->kind, VerifierKind::kSha2);
  EXPECT_EQ(ParseVerifier(hex)->text, sha2);
  const std::string ed25519 = "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY";
  EXPECT_EQ(ParseVerifier(ed25519)->kind, VerifierKind::kEd25519);
  // Each cut short anywhere is none.
  for (const std::string& whole : {native, sha2, hex, ed25519}) {
    for (size_t n = 0; n < whole.size(); ++n) {
      EXPECT_FALSE(ParseVerifier(whole.substr(0, n))) << whole << " " << n;
    }
    EXPECT_FALSE(ParseVerifier(whole + "A"));
  }
  EXPECT_FALSE(ParseVerifier("$A$000$" + sha2.substr(7)));
  EXPECT_FALSE(ParseVerifier("$B$005$" + sha2.substr(7)));
  EXPECT_FALSE(ParseVerifier("*" + std::string(40, 'g')));
}

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};

TEST(Secret, HasNoWayOut) {
  EXPECT_FALSE(Printable<Secret>);
  EXPECT_FALSE((std::is_convertible_v<Secret, std::string>));
  Secret a("one");
  Secret b = a;
  Secret c = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(b, c);
  a = b;
  EXPECT_EQ(a.reveal(), "one");
  a = Secret("two");
  EXPECT_EQ(a.reveal(), "two");
}

TEST(Check, PrintsInCompilerStyle) {
  Environment e = Environment::Empty();
  e.read_file = [](const std::string& path, std::string* why) -> std::optional<Environment::File> {
    if (path == "good.yaml") {
      return Environment::File{
          "listen: {mysql: \"127.0.0.1:1\"}\nusers: [{name: a, password: b}]\n", false};
    }
    if (path == "bad.yaml") {
      return Environment::File{"listen: {mysql: x}\nusers: [{name: a, password: b}]\nworkers: x\n",
                               true};
    }
    *why = "No such file or directory";
    return std::nullopt;
  };
  std::ostringstream good;
  EXPECT_EQ(Check("good.yaml", good, e), 0);
  EXPECT_EQ(good.str(), "good.yaml: usable, 0 warnings\n");
  std::ostringstream bad;
  EXPECT_EQ(Check("bad.yaml", bad, e), 1);
  EXPECT_EQ(bad.str(),
            "bad.yaml: warning: holds passwords and can be read by other users; chmod 600 it\n"
            "bad.yaml:1:17: error: listen.mysql: 'x' has no port: write HOST:PORT\n"
            "bad.yaml:3:10: error: workers: needs auto or a whole number from 1 to 256, not 'x'\n"
            "bad.yaml: not usable, 2 errors, 1 warning\n");
  std::ostringstream missing;
  EXPECT_EQ(Check("missing.yaml", missing, e), 1);
  EXPECT_EQ(missing.str(),
            "missing.yaml: error: can't be read: No such file or directory\n"
            "missing.yaml: not usable, 1 error, 0 warnings\n");
}

TEST(Environment, RealFilesAreRead) {
  const Environment e = Environment::Real();
  std::string why;
  EXPECT_TRUE(e.read_file(BULKHEAD_SOURCE_DIR "/deploy/bulkhead.example.yaml", &why));
  EXPECT_FALSE(e.read_file("/nowhere/at/all", &why));
  EXPECT_EQ(why, "No such file or directory");
  EXPECT_FALSE(e.read_file("/", &why));
  EXPECT_EQ(why, "it is a folder");
  EXPECT_FALSE(e.variable("BULKHEAD_SURELY_UNSET"));
}

}  // namespace
}  // namespace bulkhead::config
