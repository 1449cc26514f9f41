#include "proxy/http/http_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "metrics/registry.h"
#include "proxy/http/monitoring_pages.h"

namespace bulkhead::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A connected socket to a port on 127.0.0.1, or -1.
int Connect(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

// Sends the bytes and gives everything that comes back until the server closes.
std::string Exchange(uint16_t port, const std::string& request) {
  const int fd = Connect(port);
  if (fd < 0) return "no connection";
  EXPECT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  ssize_t n = 0;
  while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0) answer.append(buffer, n);
  close(fd);
  return answer;
}

std::string Get(uint16_t port, const std::string& path) {
  return Exchange(port, "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

std::unique_ptr<HttpServer> MustStart(Pages pages) {
  auto server = HttpServer::Start({.port = 0}, std::move(pages));
  EXPECT_TRUE(server.ok()) << server.status();
  return server.ok() ? *std::move(server) : nullptr;
}

TEST(HttpServerTest, GivesAPage) {
  const auto server =
      MustStart({{"/a", [](const Request&) { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  ASSERT_NE(server->port(), 0);
  const std::string answer = Get(server->port(), "/a");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nContent-Length: 6\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nContent-Type: text/plain; charset=utf-8\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nhello\n"));
}

TEST(HttpServerTest, HeadHasNoBody) {
  const auto server =
      MustStart({{"/a", [](const Request&) { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  const std::string answer =
      Exchange(server->port(), "HEAD /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nContent-Length: 6\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST(HttpServerTest, QueryStringIsNoPartOfThePath) {
  const auto server =
      MustStart({{"/a", [](const Request&) { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  EXPECT_THAT(Get(server->port(), "/a?x=1"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(HttpServerTest, EverythingElseIsNotFound) {
  const auto server =
      MustStart({{"/a", [](const Request&) { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  for (const std::string path :
       {"/", "/b", "/a/", "/aa", "/../../etc/passwd", "/%2e%2e/etc/passwd", "/etc/passwd", "/A"}) {
    const std::string answer = Get(server->port(), path);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 404 Not Found\r\n")) << path;
    EXPECT_THAT(answer, Not(HasSubstr("root:"))) << path;
  }
}

TEST(HttpServerTest, OtherMethodsAreRefused) {
  const auto server =
      MustStart({{"/a", [](const Request&) { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  for (const std::string method : {"POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "MKCOL"}) {
    const std::string answer = Exchange(
        server->port(), method + " /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 405 ")) << method;
    EXPECT_THAT(answer, HasSubstr("\r\nAllow: GET, HEAD\r\n")) << method;
  }
}

TEST(HttpServerTest, RubbishIsAnsweredAndHarmsNobody) {
  const auto server =
      MustStart({{"/a", [](const Request&) { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  (void)Exchange(server->port(), "\x16\x03\x01\x02\r\n\r\n");
  EXPECT_THAT(
      Exchange(server->port(), "GET /a HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"),
      Not(HasSubstr("200 OK")));
  EXPECT_THAT(Get(server->port(), "/a"), EndsWith("hello\n"));
}

TEST(HttpServerTest, LargePage) {
  const std::string body(5'000'000, 'x');
  const auto server = MustStart({{"/a", [&](const Request&) { return Response{.body = body}; }}});
  ASSERT_NE(server, nullptr);
  const std::string answer = Get(server->port(), "/a");
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, body.size());
}

TEST(HttpServerTest, AddressInUseIsSaid) {
  const auto server = MustStart({});
  ASSERT_NE(server, nullptr);
  const auto second = HttpServer::Start({.port = server->port()}, {});
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("127.0.0.1:" + std::to_string(server->port())));
}

TEST(HttpServerTest, ElsewhereOnlyWithTlsAndPasswords) {
  for (const std::string host : {"0.0.0.0", "10.0.0.1", "::", "example.org", ""}) {
    const auto server = HttpServer::Start({.host = host, .port = 0}, {});
    EXPECT_FALSE(server.ok()) << host;
    HttpServer::Options half;
    half.host = host;
    half.check_login = [](std::string_view, std::string_view) { return true; };
    EXPECT_FALSE(HttpServer::Start(half, {}).ok()) << host;
  }
  for (const std::string host : {"127.0.0.2", "localhost", "::1"}) {
    const auto server = HttpServer::Start({.host = host, .port = 0}, {});
    EXPECT_TRUE(server.ok()) << host << ": " << server.status();
  }
}

TEST(HttpServerTest, ACertificateThatFitsNothingIsSaid) {
  HttpServer::Options options;
  options.port = 0;
  options.tls = HttpServer::Tls{.cert_pem = "nonsense", .key_pem = "nonsense"};
  const auto server = HttpServer::Start(std::move(options), {});
  ASSERT_FALSE(server.ok());
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("can't start"));
}

TEST(HttpServerTest, QueryAndPrefix) {
  const Page tell = [](const Request& request) {
    return Response{.body = request.path + "|" + request.rest + "|" +
                            std::string(request.Query("x")) + "|" +
                            std::string(request.Query("none")) + "\n"};
  };
  const auto server = MustStart({{"/a", tell}, {"/b/*", tell}});
  ASSERT_NE(server, nullptr);
  EXPECT_THAT(Get(server->port(), "/a?x=1%202&x=%26"), EndsWith("\r\n\r\n/a||&|\n"));
  EXPECT_THAT(Get(server->port(), "/a?x"), EndsWith("\r\n\r\n/a|||\n"));
  EXPECT_THAT(Get(server->port(), "/b/7.md?x=y"), EndsWith("\r\n\r\n/b/7.md|7.md|y|\n"));
  EXPECT_THAT(Get(server->port(), "/b/7/8"), EndsWith("\r\n\r\n/b/7/8|7/8||\n"));
  EXPECT_THAT(Get(server->port(), "/b"), StartsWith("HTTP/1.1 404 "));
}

// A page elsewhere may give its own name our address; its browser still says whom it means.
TEST(HttpServerTest, OtherHostNamesAreRefused) {
  const auto server =
      MustStart({{"/a", [](const Request&) { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  const auto ask = [&](const std::string& host) {
    return Exchange(server->port(), "GET /a HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  };
  for (const std::string host : {"127.0.0.1", "127.0.0.1:9306", "localhost:9306", "[::1]:9306"})
    EXPECT_THAT(ask(host), StartsWith("HTTP/1.1 200 ")) << host;
  for (const std::string host : {"evil.example", "evil.example:9306", "localhost.evil.example", ""})
    EXPECT_THAT(ask(host), StartsWith("HTTP/1.1 403 ")) << host;
}

TEST(HttpServerTest, PasswordsWhereTheyAreAskedFor) {
  HttpServer::Options options;
  options.port = 0;
  options.check_login = [](std::string_view user, std::string_view password) {
    return user == "admin" && password == "secret:with colon";
  };
  const auto server = HttpServer::Start(
      options, {{"/a", [](const Request&) { return Response{.body = "hello\n"}; }}});
  ASSERT_TRUE(server.ok());
  const auto ask = [&](const std::string& header) {
    return Exchange((*server)->port(), "GET /a HTTP/1.1\r\nHost: router\r\n" + header + "\r\n");
  };
  EXPECT_THAT(ask(""), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(ask(""), HasSubstr("\r\nWWW-Authenticate: Basic "));
  EXPECT_THAT(ask(""), Not(HasSubstr("hello")));
  for (const std::string wrong :
       {"Basic YWRtaW46d3Jvbmc=", "Basic !!!", "Basic", "Bearer x", "Basic YWRtaW4=", "Basic Og=="})
    EXPECT_THAT(ask("Authorization: " + wrong + "\r\n"), StartsWith("HTTP/1.1 401 ")) << wrong;
  EXPECT_THAT(ask("Authorization: Basic YWRtaW46c2VjcmV0OndpdGggY29sb24=\r\n"),
              EndsWith("hello\n"));
}

TEST(HttpServerTest, NoOtherPageMayShowOrScriptOurs) {
  const auto server = MustStart({{"/a", [](const Request&) { return Response{.body = "x"}; }}});
  ASSERT_NE(server, nullptr);
  const std::string answer = Get(server->port(), "/a");
  for (const std::string header : {"Content-Security-Policy: default-src 'none'",
                                   "X-Frame-Options: DENY", "X-Content-Type-Options: nosniff",
                                   "Referrer-Policy: no-referrer", "Cache-Control: no-store"})
    EXPECT_THAT(answer, HasSubstr("\r\n" + header));
  EXPECT_THAT(answer, Not(HasSubstr("Access-Control-Allow")));
}

// Says what it is given, one after the other.
class Mouth final : public Stream {
 public:
  explicit Mouth(std::atomic<int>* said) : said_(said) {}
  std::optional<std::string> Next() override {
    if (told_ == *said_) return "";
    return "data: " + std::to_string(++told_) + "\n\n";
  }

 private:
  std::atomic<int>* const said_;
  int told_ = 0;
};

// Reads until `wanted` is there.
std::string ReadUntil(int fd, const std::string& wanted) {
  std::string text;
  char buffer[1024];
  while (text.find(wanted) == std::string::npos) {
    const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

int OpenStream(uint16_t port) {
  const int fd = Connect(port);
  const std::string request = "GET /s HTTP/1.1\r\nHost: localhost\r\n\r\n";
  EXPECT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  return fd;
}

TEST(HttpServerTest, StreamsGoOnWithoutAThread) {
  std::atomic<int> said{1};
  HttpServer::Options options;
  options.port = 0;
  options.threads = 2;
  options.max_streams = 5;
  auto server = HttpServer::Start(
      options, {{"/s",
                 [&](const Request&) {
                   return Response{.content_type = "text/event-stream",
                                   .stream = std::make_unique<Mouth>(&said)};
                 }},
                {"/a", [](const Request&) { return Response{.body = "hello\n"}; }}});
  ASSERT_TRUE(server.ok()) << server.status();
  const uint16_t port = (*server)->port();
  std::vector<int> streams;
  for (int i = 0; i < 5; ++i) {
    streams.push_back(OpenStream(port));
    EXPECT_THAT(ReadUntil(streams.back(), "data: 1\n"), HasSubstr("data: 1\n"));
  }
  EXPECT_EQ((*server)->counts().streams, 5u);
  // More streams than threads, and pages are served all the same.
  EXPECT_THAT(Get(port, "/a"), EndsWith("hello\n"));
  // One too many is told to ask now and then.
  const std::string refused = Get(port, "/s");
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(refused, HasSubstr("\r\nRetry-After: "));
  EXPECT_EQ((*server)->counts().streams_refused, 1u);
  for (int i = 2; i < 50; ++i) {
    said = i;
    (*server)->WakeStreams();
    for (const int fd : streams) {
      const std::string text = "data: " + std::to_string(i) + "\n";
      EXPECT_THAT(ReadUntil(fd, text), HasSubstr(text));
    }
  }
  // One that leaves makes its place free.
  close(streams.back());
  streams.pop_back();
  while ((*server)->counts().streams == 5) {
    ++said;
    (*server)->WakeStreams();
    std::this_thread::yield();
  }
  const int again = OpenStream(port);
  EXPECT_THAT(ReadUntil(again, "data: 1\n"), HasSubstr("200 OK"));
  streams.push_back(again);
  server->reset();  // ends them
  char byte = 0;
  for (const int fd : streams) {
    while (recv(fd, &byte, 1, 0) > 0) {
    }
    close(fd);
  }
}

TEST(HttpServerTest, StopsWhileStreamsAreWoken) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> said{1};
    auto server = MustStart({{"/s", [&](const Request&) {
                                return Response{.stream = std::make_unique<Mouth>(&said)};
                              }}});
    ASSERT_NE(server, nullptr);
    const int fd = OpenStream(server->port());
    std::atomic<bool> stop{false};
    std::thread waker([&] {
      while (!stop) {
        ++said;
        server->WakeStreams();
      }
    });
    (void)ReadUntil(fd, "data: 3\n");
    stop = true;
    waker.join();
    server.reset();
    close(fd);
  }
}

TEST(HttpServerTest, StopsAndStartsOnTheSamePort) {
  uint16_t port = 0;
  {
    const auto server = MustStart({});
    ASSERT_NE(server, nullptr);
    port = server->port();
  }
  EXPECT_EQ(Connect(port), -1);
  const auto again = HttpServer::Start({.port = port}, {});
  EXPECT_TRUE(again.ok()) << again.status();
}

TEST(HttpServerTest, StopsWithARequestUnderWay) {
  auto server = MustStart({{"/a", [](const Request&) { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  const int fd = Connect(server->port());
  ASSERT_GE(fd, 0);
  ASSERT_EQ(send(fd, "GET /a HT", 9, MSG_NOSIGNAL), 9);
  server.reset();  // must return
  close(fd);
}

TEST(HttpServerTest, ItsThreadsTakeNoSignals) {
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  std::atomic<bool> blocked{false};
  const auto server = MustStart({{"/a", [&](const Request&) {
                                    sigset_t mask;
                                    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
                                    blocked = sigismember(&mask, SIGTERM) == 1;
                                    return Response{};
                                  }}});
  ASSERT_NE(server, nullptr);
  EXPECT_THAT(Get(server->port(), "/a"), HasSubstr("200 OK"));
  EXPECT_TRUE(blocked.load());
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
}

TEST(MonitoringPagesTest, MetricsInTextFormat) {
  metrics::Registry registry({.version = "1.2.3"});
  registry.AddWorker("worker-0")->client_connections.Add(3);
  const auto server = MustStart(MonitoringPages(&registry, nullptr));
  ASSERT_NE(server, nullptr);
  const std::string answer = Get(server->port(), "/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(answer, HasSubstr("\n# TYPE bulkhead_client_connections_total counter\n"));
  EXPECT_THAT(answer, HasSubstr("\nbulkhead_client_connections_total 3\n"));
}

TEST(MonitoringPagesTest, HealthAndReadiness) {
  metrics::Registry registry({.version = "1.2.3"});
  std::atomic<bool> draining{false};
  const auto server =
      MustStart(MonitoringPages(&registry, [&] { return draining ? "draining" : ""; }));
  ASSERT_NE(server, nullptr);
  EXPECT_THAT(Get(server->port(), "/healthz"), EndsWith("\r\n\r\nok\n"));
  EXPECT_THAT(Get(server->port(), "/readyz"), StartsWith("HTTP/1.1 200 OK\r\n"));
  draining = true;
  const std::string answer = Get(server->port(), "/readyz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nnot ready: draining\n"));
  EXPECT_THAT(Get(server->port(), "/healthz"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(MonitoringPagesTest, ManyScrapesAtOnce) {
  metrics::Registry registry({.version = "1.2.3"});
  metrics::WorkerMetrics* const worker = registry.AddWorker("worker-0");
  const auto server = MustStart(MonitoringPages(&registry, nullptr));
  ASSERT_NE(server, nullptr);
  std::atomic<int> complete{0};
  std::vector<std::thread> scrapers;
  for (int i = 0; i < 8; ++i) {
    scrapers.emplace_back([&] {
      for (int round = 0; round < 5; ++round) {
        const std::string answer = Get(server->port(), "/metrics");
        complete += answer.find("bulkhead_loop_lag_seconds_count") != std::string::npos;
      }
    });
  }
  for (uint32_t i = 0; i < 50'000; ++i) worker->shard(i % 500).statements[{}][{}].Add();
  for (auto& scraper : scrapers) scraper.join();
  EXPECT_EQ(complete.load(), 40);
}

}  // namespace
}  // namespace bulkhead::http
