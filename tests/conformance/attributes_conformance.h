// The part of the FileSystem suite that is about owners, modes, times, extended attributes and ACLs.
#pragma once

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/file_system_fixture.h"

namespace exclave::conformance {

class AttributesConformance : public FileSystemConformance {
 protected:
  struct AclEntry {
    std::uint16_t tag;
    std::uint16_t permissions;
    std::uint32_t id;
  };
  static constexpr std::uint32_t kNobodyNamed = std::numeric_limits<std::uint32_t>::max();

  // The kernel's form of a POSIX ACL: version 2, then entries, all little-endian.
  static Bytes acl(const std::vector<AclEntry>& entries) {
    Bytes out = {2, 0, 0, 0};
    const auto put_number = [&](std::uint32_t value, int bytes) {
      for (int i = 0; i < bytes; ++i) out.push_back(static_cast<Byte>(value >> (8 * i)));
    };
    for (const AclEntry& entry : entries) {
      put_number(entry.tag, 2);
      put_number(entry.permissions, 2);
      put_number(entry.id, 4);
    }
    return out;
  }
  // Owner rw-, user 1234 r--, group r--, mask r--, others ---: what mode 0640 with one named user looks like.
  static Bytes acl_of_0640() {
    return acl({{0x01, 6, kNobodyNamed},
                {0x02, 4, 1234},
                {0x04, 4, kNobodyNamed},
                {0x10, 4, kNobodyNamed},
                {0x20, 0, kNobodyNamed}});
  }
  static env::FileAttributes only_mode(std::uint32_t mode) {
    env::FileAttributes attributes;
    attributes.mode = mode;
    return attributes;
  }
  static env::FileAttributes only_time(env::Timestamp time) {
    env::FileAttributes attributes;
    attributes.modified = time;
    return attributes;
  }
};

TEST_P(AttributesConformance, mode_keeps_all_twelve_bits) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "f", "");
    must(d->create_directory("sub", 0700));
    for (const std::uint32_t mode : {0U, 0400U, 0777U, 04755U, 02755U, 01777U, 07777U}) {
      EXPECT_TRUE(is_ok(d->set_attributes("f", only_mode(mode))));
      EXPECT_EQ(must(d->stat("f")).mode, mode);
      EXPECT_TRUE(is_ok(d->set_attributes("sub", only_mode(mode))));
      EXPECT_EQ(must(d->stat("sub")).mode, mode);
    }
    EXPECT_TRUE(failed_with(d->set_attributes("missing", only_mode(0600)), Code::NotFound));
  });
}

TEST_P(AttributesConformance, times_keep_their_nanoseconds_from_1970_to_2200) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "f", "");
    must(d->create_directory("sub", 0700));
    must(d->create_symlink("link", "f"));
    must(d->create_node("fifo", env::FileType::Fifo, 0600, 0, 0));
    const auto times = {env::Timestamp{0}, env::Timestamp{1}, env::Timestamp{999'999'999},
                        env::Timestamp::from_seconds(7'258'118'400) + std::chrono::nanoseconds(123'456'789)};
    for (const char* name : {"f", "sub", "link", "fifo"}) {
      for (const env::Timestamp time : times) {
        EXPECT_TRUE(is_ok(d->set_attributes(name, only_time(time))));
        EXPECT_EQ(must(d->stat(name)).modified.nanoseconds, time.nanoseconds) << name;
      }
    }
    EXPECT_NE(must(d->stat("f")).changed.nanoseconds, 0) << "the change time is the system's";
  });
}

TEST_P(AttributesConformance, times_before_1970_are_kept) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "f", "");
    for (const std::int64_t nanoseconds : {-1LL, -1'000'000'000LL, -315'619'199'999'999'999LL}) {
      EXPECT_TRUE(is_ok(d->set_attributes("f", only_time({nanoseconds}))));
      EXPECT_EQ(must(d->stat("f")).modified.nanoseconds, nanoseconds);
    }
  });
}

TEST_P(AttributesConformance, attributes_of_a_symlink_never_reach_its_target) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "target", "x");
    must(d->set_attributes("target", only_mode(0640)));
    must(d->create_symlink("link", "target"));
    const env::FileInfo before = must(d->stat("target"));
    env::FileAttributes attributes;
    attributes.mode = 0777;  // Linux has no modes of symlinks: accepted and without effect
    attributes.owner = {before.user, before.group};
    attributes.modified = env::Timestamp::from_seconds(1'000'000);
    EXPECT_TRUE(is_ok(d->set_attributes("link", attributes)));
    EXPECT_EQ(must(d->stat("link")).modified.seconds(), 1'000'000);
    const env::FileInfo after = must(d->stat("target"));
    EXPECT_EQ(after.mode, 0640U);
    EXPECT_EQ(after.modified, before.modified);
  });
}

TEST_P(AttributesConformance, own_attributes_of_a_directory_are_set) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    must(d->create_directory("sub", 0700));
    auto sub = must(d->open_directory("sub"));
    put(*sub, "inside", "");
    env::FileAttributes attributes;
    attributes.mode = 03755;
    attributes.modified = env::Timestamp{42'000'000'001};
    EXPECT_TRUE(is_ok(sub->set_own_attributes(attributes)));
    const env::FileInfo info = must(d->stat("sub"));
    EXPECT_EQ(info.mode, 03755U);
    EXPECT_EQ(info.modified.nanoseconds, 42'000'000'001);
  });
}

TEST_P(AttributesConformance, attributes_of_an_open_file_are_set_after_its_data) {
  run([this](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    auto file = must(d->create_file("f", 0600));
    must(file->write_at(0, as_bytes("content")));
    must(d->create_link("other name", *d, "f"));
    must(d->remove("f"));
    env::FileAttributes attributes;
    attributes.mode = 02440;
    attributes.modified = env::Timestamp{42'000'000'001};
    if (abilities().user_xattrs) attributes.xattrs = {{"user.a", to_bytes("1")}};
    EXPECT_TRUE(is_ok(file->set_attributes(attributes)));
    file.reset();
    const env::FileInfo info = must(d->stat("other name"));
    EXPECT_EQ(info.mode, 02440U);
    EXPECT_EQ(info.modified.nanoseconds, 42'000'000'001);
    EXPECT_EQ(info.size, 7U);
    EXPECT_EQ(must(d->xattrs("other name")), attributes.xattrs);
  });
}

TEST_P(AttributesConformance, setuid_survives_a_change_of_owner_of_an_open_file) {
  if (!abilities().change_owner) GTEST_SKIP() << "this world may not give files away";
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    auto file = must(d->create_file("f", 0600));
    env::FileAttributes attributes;
    attributes.mode = 06755;
    attributes.owner = {1234, 4321};
    EXPECT_TRUE(is_ok(file->set_attributes(attributes)));
    EXPECT_EQ(must(d->stat("f")).mode, 06755U);
    EXPECT_EQ(must(d->stat("f")).user, 1234U);
    EXPECT_EQ(must(d->stat("f")).group, 4321U);
    attributes.owner = {1234, 4322};  // the mode is right already, and changing the group would clear it
    EXPECT_TRUE(is_ok(file->set_attributes(attributes)));
    EXPECT_EQ(must(d->stat("f")).mode, 06755U);
    EXPECT_EQ(must(d->stat("f")).group, 4322U);
  });
}

TEST_P(AttributesConformance, the_owner_that_a_file_has_can_be_asked_for_by_anybody) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "f", "");
    const env::FileInfo before = must(d->stat("f"));
    env::FileAttributes attributes;
    attributes.owner = {before.user, before.group};
    attributes.mode = 04711;
    EXPECT_TRUE(is_ok(d->set_attributes("f", attributes)));
    EXPECT_EQ(must(d->stat("f")).mode, 04711U);
  });
}

TEST_P(AttributesConformance, setuid_survives_a_change_of_owner) {
  if (!abilities().change_owner) GTEST_SKIP() << "this world may not give files away";
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "with_mode", "");
    env::FileAttributes attributes;
    attributes.mode = 06755;
    attributes.owner = {1234, 4321};
    attributes.modified = env::Timestamp{5};
    EXPECT_TRUE(is_ok(d->set_attributes("with_mode", attributes)));
    const env::FileInfo info = must(d->stat("with_mode"));
    EXPECT_EQ(info.mode, 06755U);
    EXPECT_EQ(info.user, 1234U);
    EXPECT_EQ(info.group, 4321U);
    EXPECT_EQ(info.modified.nanoseconds, 5);

    put(*d, "owner_only", "");
    must(d->set_attributes("owner_only", only_mode(04711)));
    attributes = {};
    attributes.owner = {77, 78};
    EXPECT_TRUE(is_ok(d->set_attributes("owner_only", attributes)));
    EXPECT_EQ(must(d->stat("owner_only")).mode, 04711U) << "what was not asked for does not change";
    EXPECT_EQ(must(d->stat("owner_only")).user, 77U);
  });
}

TEST_P(AttributesConformance, owner_of_every_type_is_set_without_following) {
  if (!abilities().change_owner) GTEST_SKIP() << "this world may not give files away";
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "file", "");
    must(d->create_symlink("link", "file"));
    must(d->create_node("fifo", env::FileType::Fifo, 0600, 0, 0));
    must(d->create_directory("sub", 0700));
    env::FileAttributes attributes;
    attributes.owner = {1001, 1002};
    for (const char* name : {"link", "fifo", "sub"}) {
      EXPECT_TRUE(is_ok(d->set_attributes(name, attributes))) << name;
      EXPECT_EQ(must(d->stat(name)).user, 1001U) << name;
      EXPECT_EQ(must(d->stat(name)).group, 1002U) << name;
    }
    EXPECT_NE(must(d->stat("file")).user, 1001U);
  });
}

TEST_P(AttributesConformance, xattrs_come_back_sorted_with_their_bytes) {
  if (!abilities().user_xattrs) GTEST_SKIP() << "this world has no user.* attributes";
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "f", "x");
    must(d->create_directory("sub", 0700));
    env::FileAttributes attributes;
    attributes.xattrs = {{"user.zeta", to_bytes("z")}, {"user.empty", {}}, {"user.alpha", Bytes(1000, 0xfe)}};
    attributes.modified = env::Timestamp{7};
    const std::vector<env::Xattr> expected = {attributes.xattrs[2], attributes.xattrs[1], attributes.xattrs[0]};
    for (const char* name : {"f", "sub"}) {
      EXPECT_TRUE(is_ok(d->set_attributes(name, attributes)));
      EXPECT_EQ(must(d->xattrs(name)), expected) << name;
      EXPECT_EQ(must(d->stat(name)).modified.nanoseconds, 7);
    }
    EXPECT_EQ(must(must(d->open_file("f"))->xattrs()), expected);
    EXPECT_EQ(must(must(d->open_directory("sub"))->own_xattrs()), expected);
    attributes.xattrs = {{"user.alpha", to_bytes("new")}};
    EXPECT_TRUE(is_ok(d->set_attributes("f", attributes)));
    EXPECT_EQ(must(d->xattrs("f"))[0].value, to_bytes("new")) << "an existing attribute is replaced";
    EXPECT_EQ(must(d->xattrs("f")).size(), 3U) << "others stay";
  });
}

TEST_P(AttributesConformance, xattrs_are_set_on_a_file_that_ends_read_only) {
  if (!abilities().user_xattrs) GTEST_SKIP() << "this world has no user.* attributes";
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "f", "x");
    env::FileAttributes attributes;
    attributes.mode = 0400;
    attributes.xattrs = {{"user.a", to_bytes("1")}};
    EXPECT_TRUE(is_ok(d->set_attributes("f", attributes)));
    EXPECT_EQ(must(d->xattrs("f")), attributes.xattrs);
    EXPECT_EQ(must(d->stat("f")).mode, 0400U);
  });
}

TEST_P(AttributesConformance, xattrs_of_everything_without_any_are_empty) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "file", "");
    must(d->create_symlink("dangling", "nowhere"));
    must(d->create_node("fifo", env::FileType::Fifo, 0600, 0, 0));
    must(d->create_directory("sub", 0700));
    for (const char* name : {"file", "dangling", "fifo", "sub"}) {
      EXPECT_EQ(must(d->xattrs(name)), std::vector<env::Xattr>{}) << name;
    }
    EXPECT_EQ(must(must(d->open_file("file"))->xattrs()), std::vector<env::Xattr>{});
    EXPECT_EQ(must(must(d->open_directory("sub"))->own_xattrs()), std::vector<env::Xattr>{});
    EXPECT_TRUE(failed_with(d->xattrs("missing"), Code::NotFound));
  });
}

TEST_P(AttributesConformance, access_acl_comes_back_byte_for_byte) {
  if (!abilities().acls) GTEST_SKIP() << "this world has no POSIX ACLs";
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "f", "");
    env::FileAttributes attributes;
    attributes.mode = 0640;
    attributes.modified = env::Timestamp{9};
    attributes.xattrs = {{"system.posix_acl_access", acl_of_0640()}};
    EXPECT_TRUE(is_ok(d->set_attributes("f", attributes)));
    EXPECT_EQ(must(d->xattrs("f")), attributes.xattrs);
    EXPECT_EQ(must(d->stat("f")).mode, 0640U);
    EXPECT_EQ(must(d->stat("f")).modified.nanoseconds, 9);
  });
}

TEST_P(AttributesConformance, setgid_survives_owner_and_acl_together) {
  if (!abilities().acls || !abilities().change_owner)
    GTEST_SKIP() << "needs POSIX ACLs and the right to give files away";
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "f", "");
    env::FileAttributes attributes;
    attributes.mode = 06640;
    attributes.owner = {1001, 1002};
    attributes.xattrs = {{"system.posix_acl_access", acl_of_0640()}};
    EXPECT_TRUE(is_ok(d->set_attributes("f", attributes)));
    EXPECT_EQ(must(d->stat("f")).mode, 06640U);
    EXPECT_EQ(must(d->xattrs("f")), attributes.xattrs);
  });
}

TEST_P(AttributesConformance, default_acl_of_a_directory_comes_back) {
  if (!abilities().acls) GTEST_SKIP() << "this world has no POSIX ACLs";
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    must(d->create_directory("sub", 0700));
    env::FileAttributes attributes;
    attributes.xattrs = {{"system.posix_acl_default", acl_of_0640()}};
    EXPECT_TRUE(is_ok(must(d->open_directory("sub"))->set_own_attributes(attributes)));
    EXPECT_EQ(must(d->xattrs("sub")), attributes.xattrs);
    EXPECT_EQ(must(d->stat("sub")).mode, 0700U) << "the default ACL is for what is made inside";
  });
}

TEST_P(AttributesConformance, dropped_acls_reach_nothing_that_is_made_afterwards) {
  run([has_acls = abilities().acls](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    must(d->create_directory("sub", 0700));
    auto sub = must(d->open_directory("sub"));
    EXPECT_TRUE(is_ok(sub->drop_acls())) << "there are none";
    if (has_acls) {
      env::FileAttributes attributes;
      attributes.xattrs = {{"system.posix_acl_access", acl_of_0640()}, {"system.posix_acl_default", acl_of_0640()}};
      must(sub->set_own_attributes(attributes));
    }
    EXPECT_TRUE(is_ok(sub->drop_acls()));
    EXPECT_TRUE(must(sub->own_xattrs()).empty());
    put(*sub, "f", "");
    must(sub->create_directory("below", 0700));
    EXPECT_TRUE(must(sub->xattrs("f")).empty());
    EXPECT_TRUE(must(sub->xattrs("below")).empty());
  });
}

}  // namespace exclave::conformance
