#include "proxy/session/named_locks.h"

#include <gtest/gtest.h>

#include <string>

namespace bulkhead::session {
namespace {

using Kind = sql::LockCall::Kind;

void Call(NamedLocks* locks, Kind kind, std::string name = {}) {
  locks->Apply({.understood = true, .calls = {{kind, std::move(name)}}});
}

TEST(NamedLocks, EachGetNeedsItsRelease) {
  NamedLocks locks;
  EXPECT_TRUE(locks.none());
  Call(&locks, Kind::kRelease, "a");
  EXPECT_TRUE(locks.none());
  Call(&locks, Kind::kGet, "a");
  Call(&locks, Kind::kGet, "a");
  Call(&locks, Kind::kRelease, "b");
  Call(&locks, Kind::kRelease, "a");
  EXPECT_FALSE(locks.none());
  Call(&locks, Kind::kRelease, "a");
  EXPECT_TRUE(locks.none());
}

TEST(NamedLocks, WhatIsNotUnderstoodHoldsUntilAllAreReleased) {
  NamedLocks locks;
  locks.Apply({});
  Call(&locks, Kind::kGet, "a");
  Call(&locks, Kind::kRelease, "a");
  EXPECT_FALSE(locks.none());
  Call(&locks, Kind::kReleaseAll);
  EXPECT_TRUE(locks.none());
}

TEST(NamedLocks, NamesAreBounded) {
  NamedLocks locks;
  for (size_t i = 0; i <= NamedLocks::kMaxNames; ++i) Call(&locks, Kind::kGet, std::to_string(i));
  for (size_t i = 0; i <= NamedLocks::kMaxNames; ++i)
    Call(&locks, Kind::kRelease, std::to_string(i));
  EXPECT_FALSE(locks.none());
}

}  // namespace
}  // namespace bulkhead::session
