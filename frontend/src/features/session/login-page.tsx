import { PasswordInput, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useEffect, useRef, useState } from "react";

import { Button } from "@/components/ui/button";
import { Icon } from "@/components/ui/icon";
import styles from "@/features/session/login.module.css";
import { useTitle } from "@/hooks/use-title";
import { api, ApiError, setCsrfToken } from "@/lib/api/client";
import { sessionQuery } from "@/lib/api/queries/session";

/** The CSRF cookie came with the refused session; its name ends in the port, so it is found by its beginning. */
function csrfCookie(): string {
  return /(?:^|;\s*)flotilla_csrf_[^=]*=([^;]+)/.exec(document.cookie)?.[1] ?? "";
}

export function LoginPage() {
  useTitle("Sign in");
  const client = useQueryClient();
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [hasTried, setHasTried] = useState(false);
  const first = useRef<HTMLInputElement>(null);
  const second = useRef<HTMLInputElement>(null);
  const signIn = useMutation({
    mutationFn: async () => {
      setCsrfToken(csrfCookie());
      await api.post("session/", { username, password });
    },
    onSuccess: () => client.query({ ...sessionQuery, staleTime: 0 }),
  });
  useEffect(() => first.current?.focus(), []);
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    setHasTried(true);
    if (username === "") first.current?.focus();
    else if (password === "") second.current?.focus();
    else signIn.mutate();
  };
  const problem = signIn.error;
  return (
    <main className={styles.page}>
      <form className={styles.form} onSubmit={submit} noValidate aria-label="Sign in">
        <h1 className={styles.brand}>
          <Icon name="logo" size={22} />
          Flotilla
        </h1>
        <TextInput ref={first} label="User name" autoComplete="username" value={username} onChange={(event) => setUsername(event.currentTarget.value)} error={hasTried && username === "" ? "Enter your user name." : undefined} />
        <PasswordInput
          ref={second}
          label="Password"
          autoComplete="current-password"
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          error={hasTried && password === "" ? "Enter your password." : undefined}
          visibilityToggleButtonProps={{ "aria-label": "Show the password" }}
        />
        {problem !== null && (
          <p className="crit" role="alert">
            {problem instanceof ApiError && problem.status === 401 ? "User name and password do not match." : problem.message}
          </p>
        )}
        <Button type="submit" look="primary" isBusy={signIn.isPending}>
          Sign in
        </Button>
      </form>
    </main>
  );
}
