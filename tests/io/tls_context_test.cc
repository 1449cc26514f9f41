#include "proxy/io/tls_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

namespace bulkhead::io {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class TlsContextTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        std::filesystem::temp_directory_path() / ("tls_context_test." + std::to_string(getpid()));
    std::filesystem::create_directories(directory_);
    Make("a", "-nodes");
    Make("b", "-nodes");
    Make("locked", "-passout pass:secret");
    std::ofstream(Path("garbage")) << "this is no certificate\n";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ / name; }
  void Make(const std::string& name, const std::string& options) const {
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2 -subj /CN=" + name +
        " " + options + " -keyout " + Path(name + ".key") + " -out " + Path(name + ".crt") +
        " 2>/dev/null";
    ASSERT_EQ(system(command.c_str()), 0) << command;
  }
  // The error of a server with these options; "" if there is none.
  static std::string ServerError(const TlsServerOptions& options) {
    std::string error;
    const bool made = TlsContext::MakeServer(options, &error) != nullptr;
    EXPECT_EQ(made, error.empty()) << error;
    return error;
  }
  static std::string ClientError(const TlsClientOptions& options) {
    std::string error;
    const bool made = TlsContext::MakeClient(options, &error) != nullptr;
    EXPECT_EQ(made, error.empty()) << error;
    return error;
  }

  std::filesystem::path directory_;
};

TEST_F(TlsContextTest, TakesACertificateAndItsKey) {
  EXPECT_EQ(ServerError({.cert_file = Path("a.crt"), .key_file = Path("a.key")}), "");
  EXPECT_EQ(ServerError({.cert_file = Path("a.crt"),
                         .key_file = Path("a.key"),
                         .client_ca_file = Path("b.crt"),
                         .min_version = TlsVersion::kTls13,
                         .ciphers = "ECDHE+AESGCM",
                         .cipher_suites = "TLS_AES_128_GCM_SHA256"}),
            "");
}

TEST_F(TlsContextTest, NamesTheFileThatIsWrong) {
  EXPECT_THAT(ServerError({.cert_file = Path("missing"), .key_file = Path("a.key")}),
              AllOf(HasSubstr("certificate '" + Path("missing")), HasSubstr("No such file")));
  EXPECT_THAT(ServerError({.cert_file = Path("garbage"), .key_file = Path("a.key")}),
              AllOf(HasSubstr(Path("garbage")), HasSubstr("no start line")));
  EXPECT_THAT(ServerError({.cert_file = Path("a.crt"), .key_file = Path("missing")}),
              AllOf(HasSubstr("private key '" + Path("missing")), HasSubstr("No such file")));
  EXPECT_THAT(ServerError({.cert_file = Path("a.crt"), .key_file = Path("b.key")}),
              AllOf(HasSubstr(Path("b.key")), HasSubstr("mismatch")));
  EXPECT_THAT(ServerError({.cert_file = Path("a.crt")}), HasSubstr("private key"));
  EXPECT_THAT(ServerError({.cert_file = Path("a.crt"),
                           .key_file = Path("a.key"),
                           .client_ca_file = Path("garbage")}),
              HasSubstr("CA file '" + Path("garbage")));
}

TEST_F(TlsContextTest, AnEncryptedKeyIsAnErrorAndNoQuestion) {
  EXPECT_THAT(ServerError({.cert_file = Path("locked.crt"), .key_file = Path("locked.key")}),
              HasSubstr("private key '" + Path("locked.key")));
}

TEST_F(TlsContextTest, NamesCiphersThatDoNotExist) {
  EXPECT_THAT(
      ServerError({.cert_file = Path("a.crt"), .key_file = Path("a.key"), .ciphers = "ROT13"}),
      AllOf(HasSubstr("ROT13"), HasSubstr("no cipher match")));
  EXPECT_THAT(ClientError({.cipher_suites = "TLS_ROT13"}), HasSubstr("TLS_ROT13"));
}

TEST_F(TlsContextTest, ClientsNeedTheirCaOnlyWhereTheyVerify) {
  EXPECT_EQ(ClientError({.ca_file = Path("missing")}), "");
  EXPECT_THAT(ClientError({.verify = TlsVerify::kCa, .ca_file = Path("missing")}),
              HasSubstr("CA file '" + Path("missing")));
  EXPECT_EQ(ClientError({.verify = TlsVerify::kIdentity, .ca_file = Path("a.crt")}), "");
  EXPECT_EQ(ClientError({.verify = TlsVerify::kCa}), "");
}

TEST_F(TlsContextTest, MakesItsOwnCertificate) {
  std::string error;
  const auto context = TlsContext::MakeSelfSigned({}, "router.example", time(nullptr), &error);
  ASSERT_NE(context, nullptr) << error;
  EXPECT_TRUE(context->is_server());
  std::ofstream(Path("own")) << context->CertificatePem();
  const std::string command = "openssl x509 -noout -subject -ext subjectAltName -checkend 0 -in " +
                              Path("own") + " >" + Path("text") + " 2>/dev/null";
  ASSERT_EQ(system(command.c_str()), 0);
  std::ifstream file(Path("text"));
  const std::string text(std::istreambuf_iterator<char>(file), {});
  EXPECT_THAT(text, AllOf(HasSubstr("CN = router.example"), HasSubstr("DNS:router.example")));
  // A name that could be read as more than one is not used.
  EXPECT_NE(TlsContext::MakeSelfSigned({}, "a,DNS:b", time(nullptr), &error), nullptr);
}

}  // namespace
}  // namespace bulkhead::io
