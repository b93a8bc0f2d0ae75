// What must be so after a fault and a load: nobody was refused, all nodes are well and equal, and
// nothing that was acknowledged is missing.
#pragma once

#include <catch2/catch.hpp>
#include <chrono>

#include "cluster.h"
#include "load.h"

namespace bib::cluster {

inline void require_whole(const Cluster& cluster, Load& load) {
  load.stop();
  CHECK(load.failures() == 0);
  REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, std::chrono::seconds(60)));
  REQUIRE(support::wait_until([&] { return cluster.converged(); }, std::chrono::seconds(60)));
  CHECK(load.missing() == "");
}

}  // namespace bib::cluster
