#include "proxy/io/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "tests/io/loop_fixture.h"

namespace bulkhead::io {
namespace {

using ::testing::HasSubstr;

class ResolverTest : public LoopTest {
 protected:
  std::unique_ptr<Resolution> Start(std::string_view host, uint16_t port) {
    result_.reset();
    return Resolution::Start(&loop_, host, port,
                             [this](Resolution::Result result) { result_ = std::move(result); });
  }
  std::optional<Resolution::Result> result_;
};

TEST_F(ResolverTest, NumericAddressesAndPathsComeAtOnce) {
  EXPECT_EQ(Start("192.0.2.7", 3306), nullptr);
  ASSERT_TRUE(result_.has_value());
  ASSERT_EQ(result_->addresses.size(), 1U);
  EXPECT_EQ(result_->addresses[0].ToText(), "192.0.2.7:3306");
  EXPECT_EQ(Start("2001:db8::1", 3306), nullptr);
  EXPECT_EQ(result_->addresses.at(0).ToText(), "[2001:db8::1]:3306");
  EXPECT_EQ(Start("/run/mysqld/mysqld.sock", 0), nullptr);
  EXPECT_EQ(result_->addresses.at(0).ToText(), "unix:/run/mysqld/mysqld.sock");
}

TEST_F(ResolverTest, WhatCannotBeANameFailsAtOnce) {
  for (const std::string& host : {std::string(), std::string(300, 'a'), std::string("a\0b", 3),
                                  "/" + std::string(200, 'p')}) {
    EXPECT_EQ(Start(host, 1), nullptr);
    ASSERT_TRUE(result_.has_value());
    EXPECT_TRUE(result_->addresses.empty());
    EXPECT_THAT(result_->error, HasSubstr("cannot resolve '" + host + "'"));
  }
}

TEST_F(ResolverTest, NamesComeFromTheLoop) {
  auto resolution = Start("localhost", 3307);
  ASSERT_NE(resolution, nullptr);
  EXPECT_FALSE(result_.has_value());
  ASSERT_TRUE(RunUntil([&] { return result_.has_value(); }));
  ASSERT_FALSE(result_->addresses.empty()) << result_->error;
  for (const SocketAddress& address : result_->addresses) {
    EXPECT_THAT(address.HostText(), testing::AnyOf("127.0.0.1", "::1"));
    EXPECT_EQ(address.port(), 3307);
  }
}

TEST_F(ResolverTest, AnUnknownNameIsAnErrorThatNamesIt) {
  auto resolution = Start("no-such-host.invalid", 1);  // RFC 6761
  ASSERT_NE(resolution, nullptr);
  ASSERT_TRUE(RunUntil([&] { return result_.has_value(); }, 30'000));
  EXPECT_TRUE(result_->addresses.empty());
  EXPECT_THAT(result_->error, HasSubstr("no-such-host.invalid"));
}

TEST_F(ResolverTest, ADroppedResolutionIsNeverHeardOf) {
  for (int i = 0; i < 20; ++i) {
    auto resolution = Start("localhost", 1);
    ASSERT_NE(resolution, nullptr);
    resolution.reset();
  }
  auto last = Start("localhost", 1);
  ASSERT_TRUE(RunUntil([&] { return result_.has_value(); }));
  last.reset();
  result_.reset();
  Settle();
  EXPECT_FALSE(result_.has_value());
}

TEST_F(ResolverTest, CanBeDroppedInsideItsCallback) {
  std::unique_ptr<Resolution> resolution;
  bool called = false;
  resolution = Resolution::Start(&loop_, "localhost", 1, [&](Resolution::Result) {
    called = true;
    resolution.reset();
  });
  ASSERT_TRUE(RunUntil([&] { return called; }));
}

}  // namespace
}  // namespace bulkhead::io
