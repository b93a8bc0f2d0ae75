#include "wire/model/row.h"

#include <catch2/catch.hpp>

#include "damage.h"
#include "event_samples.h"
#include "message_fields.h"
#include "schema/row_generated.h"

namespace bib::wire {
namespace {

namespace fbs = ::bib::wire::fb::row;

std::vector<Row> full_rows() {
  return {
      TopicRow{.path = "physics/cern",
               .description = "Collisions",
               .schema = "{}",
               .owners = {"alice", "bob"},
               .tags = {"open"},
               .status = TopicStatus::kDeprecated,
               .revision = Revision(3),
               .created_us = 1'700'000'000'000'000,
               .updated_us = 1'700'000'000'000'001,
               .datasets = 12},
      DatasetRow{.topic = "physics/cern",
                 .name = "collisions",
                 .latest_version = "2018-b",
                 .versions = 7,
                 .revision = Revision(7),
                 .created_us = -1,
                 .updated_us = 5},
      DatasetVersionRow{.version = sample_dataset_version(),
                        .added_us = 77,
                        .position = {.index = LogIndex(1234567890123), .offset = 4000000000}},
      ConfigRow{.key = "limits/upload", .value = "1", .revision = Revision(2), .updated_us = 9},
      TaskRow{.name = "resample",
              .version = "2.1",
              .definition = "{}",
              .description = "Resamples",
              .revision = Revision(1),
              .registered_us = 8},
      JobRow{.id = "job-1",
             .task = "resample",
             .task_version = "2.1",
             .parameters = "{}",
             .state = JobState::kCancelled,
             .message = "by alice",
             .revision = Revision(4),
             .submitted_us = 10,
             .updated_us = 11},
  };
}

std::vector<Row> bare_rows() {
  return {TopicRow{}, DatasetRow{}, DatasetVersionRow{}, ConfigRow{}, TaskRow{}, JobRow{}};
}

std::vector<Row> all_rows() {
  std::vector<Row> rows = full_rows();
  for (Row& row : bare_rows()) rows.push_back(std::move(row));
  return rows;
}

TEST_CASE("a row of each kind is read as it was written, with all fields and with none") {
  RowEncoder encoder;
  for (const Row& row : all_rows()) {
    INFO("row kind " << row.index());
    const ByteView bytes = encoder.encode(row);
    const auto read = read_row(bytes);
    REQUIRE(read);
    CHECK(same(*read, row));
    CHECK(lies_inside(bytes, *read));
  }
}

TEST_CASE("a dataset version of no size and one of size nought are different rows") {
  RowEncoder encoder;
  for (const auto& size : {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(0)}) {
    DatasetVersionRow row;
    row.version.size = size;
    const ByteView bytes = encoder.encode(row);
    CHECK(read_row_as<DatasetVersionRow>(bytes)->version.size == size);
  }
}

TEST_CASE("a row is read at any address") {
  RowEncoder encoder;
  for (const Row& row : full_rows()) {
    const ByteView bytes = encoder.encode(row);
    for (std::size_t shift = 0; shift < 8; ++shift) {
      std::vector<std::uint8_t> storage(shift);
      storage.insert(storage.end(), bytes.begin(), bytes.end());
      const auto read = read_row(ByteView(storage).subspan(shift));
      REQUIRE(read);
      CHECK(same(*read, row));
    }
  }
}

TEST_CASE("a row that is cut off is refused at every length") {
  RowEncoder encoder;
  for (const Row& row : all_rows()) {
    INFO("row kind " << row.index());
    check_truncated(encoder.encode(row), row, read_row);
  }
}

TEST_CASE("a row with flipped bits is refused, or read within its bytes") {
  RowEncoder encoder;
  int refused = 0;
  for (const Row& row : all_rows()) {
    INFO("row kind " << row.index());
    refused += check_bit_flips(encoder.encode(row), 2000, read_row);
  }
  CHECK(refused > 1000);
}

TEST_CASE("a row asked for as another kind is refused") {
  RowEncoder encoder;
  const ByteView bytes = encoder.encode(ConfigRow{.key = "k"});
  CHECK(read_row_as<ConfigRow>(bytes)->key == "k");
  const auto topic = read_row_as<TopicRow>(bytes);
  REQUIRE_FALSE(topic);
  CHECK(topic.error().code == ErrorCode::kCorrupt);
}

ErrorCode code_after(flatbuffers::FlatBufferBuilder& fbb, fbs::Body type,
                     flatbuffers::Offset<void> body) {
  fbb.Finish(fbs::CreateRow(fbb, type, body));
  const auto row = read_row({fbb.GetBufferPointer(), fbb.GetSize()});
  return row ? ErrorCode::kNone : row.error().code;
}

TEST_CASE("a row without a body, or with an unknown one, is refused") {
  for (const int type : {0, 1, 7, 255}) {
    flatbuffers::FlatBufferBuilder fbb;
    CHECK(code_after(fbb, static_cast<fbs::Body>(type), {}) == ErrorCode::kCorrupt);
  }
  for (const int type : {0, 7, 255}) {
    flatbuffers::FlatBufferBuilder fbb;
    const auto body = fbs::CreateConfig(fbb);
    CHECK(code_after(fbb, static_cast<fbs::Body>(type), body.Union()) == ErrorCode::kCorrupt);
  }
}

TEST_CASE("a row's status or state beyond the last is refused, and the last is read") {
  for (const std::uint8_t status : std::array<std::uint8_t, 3>{2, 3, 255}) {
    flatbuffers::FlatBufferBuilder fbb;
    fbs::TopicBuilder builder(fbb);
    builder.add_status(status);
    CHECK(code_after(fbb, fbs::Body::Topic, builder.Finish().Union()) ==
          (status == 2 ? ErrorCode::kNone : ErrorCode::kCorrupt));
  }
  for (const std::uint8_t state : std::array<std::uint8_t, 3>{4, 5, 255}) {
    flatbuffers::FlatBufferBuilder fbb;
    fbs::JobBuilder builder(fbb);
    builder.add_state(state);
    CHECK(code_after(fbb, fbs::Body::Job, builder.Finish().Union()) ==
          (state == 4 ? ErrorCode::kNone : ErrorCode::kCorrupt));
  }
}

}  // namespace
}  // namespace bib::wire
