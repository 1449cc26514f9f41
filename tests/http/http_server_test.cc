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
  const auto server = MustStart({{"/a", [] { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  ASSERT_NE(server->port(), 0);
  const std::string answer = Get(server->port(), "/a");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nContent-Length: 6\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nContent-Type: text/plain; charset=utf-8\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nhello\n"));
}

TEST(HttpServerTest, HeadHasNoBody) {
  const auto server = MustStart({{"/a", [] { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  const std::string answer =
      Exchange(server->port(), "HEAD /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nContent-Length: 6\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST(HttpServerTest, QueryStringIsIgnored) {
  const auto server = MustStart({{"/a", [] { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  EXPECT_THAT(Get(server->port(), "/a?x=1"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(HttpServerTest, EverythingElseIsNotFound) {
  const auto server = MustStart({{"/a", [] { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  for (const std::string path :
       {"/", "/b", "/a/", "/aa", "/../../etc/passwd", "/%2e%2e/etc/passwd", "/etc/passwd", "/A"}) {
    const std::string answer = Get(server->port(), path);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 404 Not Found\r\n")) << path;
    EXPECT_THAT(answer, Not(HasSubstr("root:"))) << path;
  }
}

TEST(HttpServerTest, OtherMethodsAreRefused) {
  const auto server = MustStart({{"/a", [] { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  for (const std::string method : {"POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "MKCOL"}) {
    const std::string answer = Exchange(
        server->port(), method + " /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 405 ")) << method;
    EXPECT_THAT(answer, HasSubstr("\r\nAllow: GET, HEAD\r\n")) << method;
  }
}

TEST(HttpServerTest, RubbishIsAnsweredAndHarmsNobody) {
  const auto server = MustStart({{"/a", [] { return Response{.body = "hello\n"}; }}});
  ASSERT_NE(server, nullptr);
  (void)Exchange(server->port(), "\x16\x03\x01\x02\r\n\r\n");
  EXPECT_THAT(
      Exchange(server->port(), "GET /a HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"),
      Not(HasSubstr("200 OK")));
  EXPECT_THAT(Get(server->port(), "/a"), EndsWith("hello\n"));
}

TEST(HttpServerTest, LargePage) {
  const std::string body(5'000'000, 'x');
  const auto server = MustStart({{"/a", [&] { return Response{.body = body}; }}});
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

TEST(HttpServerTest, OnlyLoopback) {
  for (const std::string host : {"0.0.0.0", "10.0.0.1", "::", "::1", "example.org", ""}) {
    const auto server = HttpServer::Start({.host = host, .port = 0}, {});
    ASSERT_FALSE(server.ok()) << host;
    EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument) << host;
  }
  for (const std::string host : {"127.0.0.2", "localhost"}) {
    const auto server = HttpServer::Start({.host = host, .port = 0}, {});
    EXPECT_TRUE(server.ok()) << host << ": " << server.status();
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
  auto server = MustStart({{"/a", [] { return Response{.body = "hello\n"}; }}});
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
  const auto server = MustStart({{"/a", [&] {
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
