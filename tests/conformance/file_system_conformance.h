// The conformance suite of env::FileSystem: what posix and sim must both do, test by test of the contract.
// Includes its other parts: instantiate FileSystemConformance and AttributesConformance.
// Not here: what survives power loss (tests/crash and the simulator's own tests), because no test can pull a plug in
// posix.
#pragma once

#include <string>

#include "tests/conformance/attributes_conformance.h"
#include "tests/conformance/directory_conformance.h"
#include "tests/conformance/file_system_fixture.h"

namespace exclave::conformance {

// --- state files: drafts ---------------------------------------------------------------------------------------------

TEST_P(FileSystemConformance, published_draft_has_its_content_and_leaves_no_temporary) {
  run([](env::Env env, const std::string& root) {
    auto draft = must(env.files.draft(root, 0600));
    EXPECT_TRUE(is_ok(draft->file().append(as_bytes("one "))));
    EXPECT_TRUE(is_ok(draft->file().append(as_bytes("two"))));
    EXPECT_TRUE(failed_with(env.files.stat(root + "/name"), Code::NotFound));
    EXPECT_TRUE(is_ok(draft->publish_new("name")));
    EXPECT_EQ(must(env.files.read_file(root + "/name", 100)), to_bytes("one two"));
    draft.reset();
    EXPECT_EQ(must(env.files.list(root)), Names{"name"});
    EXPECT_EQ(must(env.files.stat(root + "/name")).mode, 0600U);
  });
}

TEST_P(FileSystemConformance, publish_new_refuses_a_taken_name_and_the_draft_stays_usable) {
  run([](env::Env env, const std::string& root) {
    EXPECT_TRUE(is_ok(env::create_file_durably(env.files, root + "/taken", as_bytes("old"), 0600)));
    auto draft = must(env.files.draft(root, 0600));
    EXPECT_TRUE(is_ok(draft->file().append(as_bytes("new"))));
    EXPECT_TRUE(failed_with(draft->publish_new("taken"), Code::AlreadyExists));
    EXPECT_EQ(must(env.files.read_file(root + "/taken", 100)), to_bytes("old"));
    EXPECT_TRUE(is_ok(draft->publish_new("other")));
    EXPECT_EQ(must(env.files.read_file(root + "/other", 100)), to_bytes("new"));
  });
}

TEST_P(FileSystemConformance, publish_new_refuses_a_name_taken_by_a_symlink_or_directory) {
  run([](env::Env env, const std::string& root) {
    auto directory = must(env.files.open_directory(root));
    EXPECT_TRUE(is_ok(directory->create_symlink("link", "nowhere")));
    EXPECT_TRUE(is_ok(directory->create_directory("sub", 0700)));
    EXPECT_TRUE(failed_with(env::create_file_durably(env.files, root + "/link", {}, 0600), Code::AlreadyExists));
    EXPECT_TRUE(failed_with(env::create_file_durably(env.files, root + "/sub", {}, 0600), Code::AlreadyExists));
    EXPECT_EQ(must(env.files.list(root)), (Names{"link", "sub"}));
  });
}

TEST_P(FileSystemConformance, publish_replacing_replaces_and_needs_no_predecessor) {
  run([](env::Env env, const std::string& root) {
    EXPECT_TRUE(is_ok(env::replace_file_durably(env.files, root + "/name", as_bytes("first"), 0600)));
    auto opened_before = must(env.files.open_file(root + "/name"));
    EXPECT_TRUE(is_ok(env::replace_file_durably(env.files, root + "/name", as_bytes("second"), 0600)));
    EXPECT_EQ(must(env.files.read_file(root + "/name", 100)), to_bytes("second"));
    EXPECT_EQ(content_of(*opened_before), to_bytes("first"));
    EXPECT_EQ(must(env.files.list(root)), Names{"name"});
  });
}

TEST_P(FileSystemConformance, publish_replacing_refuses_to_replace_a_directory) {
  run([](env::Env env, const std::string& root) {
    EXPECT_TRUE(is_ok(env.files.make_directories(root + "/sub", 0700)));
    EXPECT_TRUE(failed_with(env::replace_file_durably(env.files, root + "/sub", {}, 0600), Code::InvalidInput));
    EXPECT_EQ(must(env.files.list(root)), Names{"sub"});
  });
}

TEST_P(FileSystemConformance, dropped_draft_leaves_nothing) {
  run([](env::Env env, const std::string& root) {
    {
      auto draft = must(env.files.draft(root, 0600));
      EXPECT_TRUE(is_ok(draft->file().append(as_bytes("lost"))));
    }
    EXPECT_EQ(must(env.files.list(root)), Names{});
  });
}

TEST_P(FileSystemConformance, two_drafts_of_one_directory_do_not_meet) {
  run([](env::Env env, const std::string& root) {
    auto first = must(env.files.draft(root, 0600));
    auto second = must(env.files.draft(root, 0600));
    EXPECT_TRUE(is_ok(first->file().append(as_bytes("first"))));
    EXPECT_TRUE(is_ok(second->file().append(as_bytes("second"))));
    EXPECT_TRUE(is_ok(second->publish_new("b")));
    EXPECT_TRUE(is_ok(first->publish_new("a")));
    EXPECT_EQ(must(env.files.read_file(root + "/a", 100)), to_bytes("first"));
    EXPECT_EQ(must(env.files.read_file(root + "/b", 100)), to_bytes("second"));
  });
}

TEST_P(FileSystemConformance, draft_refuses_wrong_names_and_a_missing_directory) {
  run([](env::Env env, const std::string& root) {
    EXPECT_TRUE(failed_with(env.files.draft(root + "/missing", 0600), Code::NotFound));
    auto draft = must(env.files.draft(root, 0600));
    for (const std::string& name : wrong_names()) {
      EXPECT_TRUE(failed_with(draft->publish_new(name), Code::InvalidInput)) << '"' << name << '"';
      EXPECT_TRUE(failed_with(draft->publish_replacing(name), Code::InvalidInput)) << '"' << name << '"';
    }
  });
}

TEST_P(FileSystemConformance, remove_temporaries_removes_leftovers_only) {
  run([](env::Env env, const std::string& root) {
    auto directory = must(env.files.open_directory(root));
    for (const char* name : {".tmp-0123456789abcdef", ".tmp-fedcba9876543210", ".tmp", "tmp-", "keep"}) {
      put(*directory, name, "x");
    }
    EXPECT_TRUE(is_ok(env.files.remove_temporaries(root)));
    EXPECT_EQ(must(env.files.list(root)), (Names{".tmp", "keep", "tmp-"}));
    EXPECT_TRUE(is_ok(env.files.remove_temporaries(root)));
    EXPECT_TRUE(failed_with(env.files.remove_temporaries(root + "/missing"), Code::NotFound));
  });
}

TEST_P(FileSystemConformance, create_same_accepts_the_same_bytes_and_refuses_others) {
  run([](env::Env env, const std::string& root) {
    const std::string path = root + "/same";
    EXPECT_TRUE(is_ok(env::create_same_durably(env.files, path, as_bytes("abc"), 0600)));
    EXPECT_TRUE(is_ok(env::create_same_durably(env.files, path, as_bytes("abc"), 0600)));
    for (const char* other : {"abd", "ab", "abcd", ""}) {
      EXPECT_TRUE(failed_with(env::create_same_durably(env.files, path, as_bytes(other), 0600), Code::AlreadyExists));
    }
    EXPECT_EQ(must(env.files.read_file(path, 100)), to_bytes("abc"));
  });
}

// --- state files: the rest -------------------------------------------------------------------------------------------

TEST_P(FileSystemConformance, read_file_obeys_its_limit) {
  run([](env::Env env, const std::string& root) {
    EXPECT_TRUE(is_ok(env::create_file_durably(env.files, root + "/f", as_bytes("12345"), 0600)));
    EXPECT_EQ(must(env.files.read_file(root + "/f", 5)), to_bytes("12345"));
    EXPECT_TRUE(failed_with(env.files.read_file(root + "/f", 4), Code::Exhausted));
    EXPECT_TRUE(failed_with(env.files.read_file(root + "/missing", 4), Code::NotFound));
    EXPECT_TRUE(failed_with(env.files.read_file(root, 4), Code::InvalidInput));
    EXPECT_TRUE(is_ok(env::create_file_durably(env.files, root + "/empty", {}, 0600)));
    EXPECT_EQ(must(env.files.read_file(root + "/empty", 0)), Bytes{});
  });
}

TEST_P(FileSystemConformance, make_directories_makes_a_chain_and_accepts_existing_ones) {
  run([](env::Env env, const std::string& root) {
    EXPECT_TRUE(is_ok(env.files.make_directories(root + "/a/b/c", 0700)));
    EXPECT_TRUE(is_ok(env.files.make_directories(root + "/a/b/c", 0700)));
    EXPECT_TRUE(is_ok(env.files.make_directories(root + "/a//b/d/", 0700)));
    EXPECT_EQ(must(env.files.list(root + "/a/b")), (Names{"c", "d"}));
    EXPECT_EQ(must(env.files.stat(root + "/a/b/c")).type, env::FileType::Directory);
    EXPECT_EQ(must(env.files.stat(root + "/a/b/c")).mode, 0700U);
  });
}

TEST_P(FileSystemConformance, make_directories_refuses_a_file_in_the_way) {
  run([](env::Env env, const std::string& root) {
    EXPECT_TRUE(is_ok(env::create_file_durably(env.files, root + "/file", {}, 0600)));
    EXPECT_TRUE(failed_with(env.files.make_directories(root + "/file", 0700), Code::InvalidInput));
    EXPECT_TRUE(failed_with(env.files.make_directories(root + "/file/sub", 0700), Code::InvalidInput));
  });
}

TEST_P(FileSystemConformance, make_directories_goes_through_a_symlink_to_a_directory) {
  run([](env::Env env, const std::string& root) {
    auto directory = must(env.files.open_directory(root));
    EXPECT_TRUE(is_ok(directory->create_directory("real", 0700)));
    EXPECT_TRUE(is_ok(directory->create_symlink("link", "real")));
    EXPECT_TRUE(is_ok(env.files.make_directories(root + "/link", 0700)));
    EXPECT_TRUE(is_ok(env.files.make_directories(root + "/link/sub", 0700)));
    EXPECT_EQ(must(env.files.list(root + "/real")), Names{"sub"});
  });
}

TEST_P(FileSystemConformance, list_is_sorted_by_bytes) {
  run([](env::Env env, const std::string& root) {
    auto directory = must(env.files.open_directory(root));
    for (const char* name : {"b", "a", "\xff", "B", "aa"}) put(*directory, name, "");
    EXPECT_EQ(must(env.files.list(root)), (Names{"B", "a", "aa", "b", "\xff"}));
    EXPECT_TRUE(failed_with(env.files.list(root + "/missing"), Code::NotFound));
    EXPECT_TRUE(failed_with(env.files.list(root + "/a"), Code::InvalidInput));
  });
}

TEST_P(FileSystemConformance, remove_file_removes_files_only) {
  run([](env::Env env, const std::string& root) {
    EXPECT_TRUE(is_ok(env::create_file_durably(env.files, root + "/f", as_bytes("x"), 0600)));
    EXPECT_TRUE(is_ok(env.files.remove_file(root + "/f")));
    EXPECT_TRUE(failed_with(env.files.remove_file(root + "/f"), Code::NotFound));
    EXPECT_TRUE(is_ok(env.files.make_directories(root + "/sub", 0700)));
    EXPECT_TRUE(failed_with(env.files.remove_file(root + "/sub"), Code::InvalidInput));
    EXPECT_EQ(must(env.files.list(root)), Names{"sub"});
  });
}

TEST_P(FileSystemConformance, open_log_appends_across_openings) {
  run([](env::Env env, const std::string& root) {
    const std::string path = root + "/log";
    {
      auto log = must(env.files.open_log(path));
      EXPECT_TRUE(is_ok(log->append(as_bytes("one"))));
      EXPECT_TRUE(is_ok(log->append(as_bytes("two"))));
      EXPECT_TRUE(is_ok(log->sync()));
    }
    {
      auto log = must(env.files.open_log(path));
      EXPECT_TRUE(is_ok(log->append(as_bytes("three"))));
      EXPECT_EQ(must(env.files.read_file(path, 100)), to_bytes("onetwothree"));
      EXPECT_TRUE(is_ok(log->resize(3)));  // a log that found a torn tail cuts it off and goes on
      EXPECT_TRUE(is_ok(log->append(as_bytes("four"))));
      EXPECT_TRUE(is_ok(log->sync()));
    }
    EXPECT_EQ(must(env.files.read_file(path, 100)), to_bytes("onefour"));
  });
}

TEST_P(FileSystemConformance, open_log_refuses_a_directory) {
  run([](env::Env env, const std::string& root) {
    EXPECT_TRUE(failed_with(env.files.open_log(root), Code::InvalidInput));
    EXPECT_TRUE(failed_with(env.files.open_log(root + "/missing/log"), Code::NotFound));
  });
}

TEST_P(FileSystemConformance, lock_conflicts_until_it_is_dropped) {
  run([](env::Env env, const std::string& root) {
    auto lock = must(env.files.lock(root + "/lock"));
    EXPECT_TRUE(failed_with(env.files.lock(root + "/lock"), Code::Conflict));
    EXPECT_TRUE(is_ok(env.files.lock(root + "/another")));
    lock.reset();
    EXPECT_TRUE(is_ok(env.files.lock(root + "/lock")));
    EXPECT_TRUE(failed_with(env.files.lock(root + "/missing/lock"), Code::NotFound));
  });
}

TEST_P(FileSystemConformance, sync_calls_succeed_on_what_exists) {
  run([](env::Env env, const std::string& root) {
    EXPECT_TRUE(is_ok(env.files.sync_directory(root)));
    EXPECT_TRUE(is_ok(must(env.files.open_directory(root))->sync_all()));
    EXPECT_TRUE(failed_with(env.files.sync_directory(root + "/missing"), Code::NotFound));
    EXPECT_GT(must(env.files.free_bytes(root)), 0U);
  });
}

// --- paths -----------------------------------------------------------------------------------------------------------

TEST_P(FileSystemConformance, stat_describes_a_symlink_itself_but_opening_by_path_follows_it) {
  run([](env::Env env, const std::string& root) {
    auto directory = must(env.files.open_directory(root));
    EXPECT_TRUE(is_ok(directory->create_directory("real", 0700)));
    EXPECT_TRUE(is_ok(directory->create_symlink("to_directory", "real")));
    put(*directory, "file", "content");
    EXPECT_TRUE(is_ok(directory->create_symlink("to_file", "file")));
    const env::FileInfo link = must(env.files.stat(root + "/to_directory"));
    EXPECT_EQ(link.type, env::FileType::Symlink);
    EXPECT_EQ(link.size, 4U);
    auto opened = must(env.files.open_directory(root + "/to_directory"));
    EXPECT_EQ(must(opened->info()).inode, must(env.files.stat(root + "/real")).inode);
    EXPECT_EQ(content_of(*must(env.files.open_file(root + "/to_file"))), to_bytes("content"));
  });
}

TEST_P(FileSystemConformance, opening_by_path_refuses_the_wrong_type) {
  run([](env::Env env, const std::string& root) {
    auto directory = must(env.files.open_directory(root));
    put(*directory, "file", "");
    EXPECT_TRUE(failed_with(env.files.open_directory(root + "/file"), Code::InvalidInput));
    EXPECT_TRUE(failed_with(env.files.open_directory(root + "/missing"), Code::NotFound));
    EXPECT_TRUE(failed_with(env.files.open_file(root), Code::InvalidInput));
    EXPECT_TRUE(failed_with(env.files.open_file(root + "/missing"), Code::NotFound));
    EXPECT_TRUE(failed_with(env.files.stat(root + "/missing"), Code::NotFound));
    EXPECT_TRUE(failed_with(env.files.stat(root + "/file/below"), Code::InvalidInput));
    EXPECT_TRUE(failed_with(env.files.stat(root + std::string("/fi\0le", 6)), Code::InvalidInput));
  });
}

TEST_P(FileSystemConformance, canonical_path_has_no_symlinks_and_no_dots) {
  run([](env::Env env, const std::string& root) {
    EXPECT_TRUE(is_ok(env.files.make_directories(root + "/a/b", 0700)));
    auto directory = must(env.files.open_directory(root));
    const std::string base = must(env.files.canonical(root));
    EXPECT_EQ(base.front(), '/');
    EXPECT_TRUE(is_ok(directory->create_symlink("relative", "a/b")));
    EXPECT_TRUE(is_ok(directory->create_symlink("absolute", root + "/a")));
    EXPECT_TRUE(is_ok(directory->create_symlink("loop", "loop")));
    EXPECT_EQ(must(env.files.canonical(root + "/relative")), base + "/a/b");
    EXPECT_EQ(must(env.files.canonical(root + "/absolute/b")), base + "/a/b");
    EXPECT_EQ(must(env.files.canonical(root + "//a/./b/../b/")), base + "/a/b");
    EXPECT_EQ(must(env.files.canonical(root + "/relative/..")), base + "/a");
    EXPECT_EQ(must(env.files.canonical("/")), "/");
    EXPECT_TRUE(failed_with(env.files.canonical(root + "/missing"), Code::NotFound));
    EXPECT_TRUE(failed_with(env.files.canonical(root + "/loop"), Code::InvalidInput));
  });
}

TEST_P(FileSystemConformance, tree_of_1500_levels_is_reached_by_steps_and_by_path) {
  run([](env::Env env, const std::string& root) {
    constexpr int kLevels = 1500;
    std::string path = root;
    auto directory = must(env.files.open_directory(root));
    for (int i = 0; i < kLevels; ++i) {
      must(directory->create_directory("d", 0700));
      directory = must(directory->open_directory("d"));
      path += "/d";
    }
    put(*directory, "leaf", "deep");
    EXPECT_EQ(must(must(env.files.open_directory(path))->info()).inode, must(directory->info()).inode);
    EXPECT_EQ(must(env.files.stat(path + "/leaf")).size, 4U);
    EXPECT_EQ(must(env.files.read_file(path + "/leaf", 10)), to_bytes("deep"));
  });
}

TEST_P(FileSystemConformance, paths_longer_than_the_system_limit_work) {
  run([](env::Env env, const std::string& root) {
    std::string path = root;
    for (int i = 0; i < 40; ++i) path += "/" + std::string(250, static_cast<char>('a' + i % 26));
    ASSERT_GT(path.size(), 10'000U);
    EXPECT_TRUE(is_ok(env.files.make_directories(path, 0700)));
    EXPECT_TRUE(is_ok(env::create_file_durably(env.files, path + "/leaf", as_bytes("far"), 0600)));
    EXPECT_TRUE(is_ok(env::replace_file_durably(env.files, path + "/leaf", as_bytes("further"), 0600)));
    EXPECT_EQ(must(env.files.read_file(path + "/leaf", 100)), to_bytes("further"));
    EXPECT_EQ(must(env.files.stat(path + "/leaf")).size, 7U);
    EXPECT_EQ(content_of(*must(env.files.open_file(path + "/leaf"))), to_bytes("further"));
    EXPECT_EQ(names_of(*must(env.files.open_directory(path))), std::set<std::string>{"leaf"});
    EXPECT_EQ(must(env.files.canonical(path + "/../" + std::string(env::base_name(path)))),
              must(env.files.canonical(path)));
    EXPECT_TRUE(is_ok(env.files.lock(path + "/lock")));
    EXPECT_TRUE(is_ok(must(env.files.open_log(path + "/log"))->append(as_bytes("x"))));
    EXPECT_TRUE(is_ok(env.files.remove_file(path + "/log")));
    EXPECT_EQ(must(env.files.list(path)), (Names{"leaf", "lock"}));
    EXPECT_TRUE(failed_with(env.files.stat(path + "/missing"), Code::NotFound));
  });
}

}  // namespace exclave::conformance
