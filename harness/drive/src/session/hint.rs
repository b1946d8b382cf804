//! What to try when a server does not start: common causes, recognised by what the server said.

/// Signs in a server's output, and what they mean. The first that matches is given; `{}` stands for what follows the sign.
const SIGNS: [(&str, &str); 13] = [
    (
        "FastMCP was renamed",
        "the installed `mcp` is version 2, which renamed FastMCP: import `MCPServer` from `mcp.server.mcpserver`, or pin \"mcp<2\"",
    ),
    (
        "ModuleNotFoundError: No module named",
        "the Python that runs the server lacks a module: use the interpreter of its virtual environment, by full path",
    ),
    (
        "ImportError:",
        "the server's imports fail: are its dependencies installed in the environment that runs it?",
    ),
    (
        "Cannot find module",
        "Node.js cannot find a module: run the package manager's install in the server's folder, and check the path",
    ),
    (
        "ERR_MODULE_NOT_FOUND",
        "Node.js cannot find a module: run the package manager's install in the server's folder, and check the path",
    ),
    (
        "KeyError: '",
        "the server wants a variable that is not set: pass it with --env {}=VALUE",
    ),
    (
        "can't open file",
        "the interpreter cannot find the script: check the path, relative to where you are or to --cwd",
    ),
    (
        "No such file or directory",
        "a file was not found: check the paths, relative to where you are or to --cwd",
    ),
    (
        "SyntaxError",
        "the server's source does not compile for this interpreter",
    ),
    (
        "Permission denied",
        "something may not be read or run: check the permissions",
    ),
    (
        "EADDRINUSE",
        "the port is in use: another copy of the server may be running",
    ),
    (
        "address already in use",
        "the port is in use: another copy of the server may be running",
    ),
    (
        "TypeError:",
        "the server fails while starting: the last lines of its stderr say where",
    ),
];

/// A hint for a server that gave no session.
pub(super) fn for_start_failure(reason: &str, stderr: &str, stdout: Option<&str>) -> Option<String> {
    for (sign, hint) in SIGNS {
        if let Some(position) = stderr.rfind(sign) {
            let rest = &stderr[position + sign.len()..];
            let word: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            if hint.contains("{}") && word.is_empty() {
                continue;
            }
            return Some(hint.replace("{}", &word));
        }
    }
    if stdout.is_some() {
        return Some(
            "it writes text to stdout, where only MCP messages belong; is this an MCP server over stdio?".to_owned(),
        );
    }
    if reason.contains("not answered in time") {
        return Some("does the command start an MCP server over stdio, and is its stdout flushed? If it needs longer to start, raise --start-timeout".to_owned());
    }
    if reason.contains("exited") {
        return Some("run the command by hand and see what it says; an MCP server waits for input".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_is_named() {
        let stderr = "Traceback (most recent call last):\n  File \"server.py\", line 3\nKeyError: 'DATABASE_URL'\n";
        assert!(
            for_start_failure("the server exited", stderr, None)
                .unwrap()
                .contains("--env DATABASE_URL=VALUE")
        );
    }

    #[test]
    fn silence_and_noise_have_hints_of_their_own() {
        assert!(
            for_start_failure("initialize was not answered in time", "", None)
                .unwrap()
                .contains("--start-timeout")
        );
        assert!(for_start_failure("x", "", Some("Welcome!")).unwrap().contains("stdout"));
        assert_eq!(for_start_failure("x", "", None), None);
    }
}
